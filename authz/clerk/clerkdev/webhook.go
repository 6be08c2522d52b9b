package clerkdev

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// deliveryTimeout is how long Svix waits for an answer.
const deliveryTimeout = 15 * time.Second

// event is a webhook's body.
type event struct {
	Object     string          `json:"object"`
	Type       string          `json:"type"`
	InstanceID string          `json:"instance_id"`
	Timestamp  int64           `json:"timestamp"` // milliseconds
	Attributes eventAttributes `json:"event_attributes"`
	Data       any             `json:"data"`
}

type eventAttributes struct {
	HTTPRequest struct {
		ClientIP  string `json:"client_ip"`
		UserAgent string `json:"user_agent"`
	} `json:"http_request"`
}

// delivery is what became of a webhook.
type delivery struct {
	ID     string `json:"id"` // svix-id
	Type   string `json:"type"`
	Status int    `json:"status,omitempty"` // the receiver's, if it answered
	Error  string `json:"error,omitempty"`
}

// webhookSender delivers webhooks with Svix's signature.
type webhookSender struct {
	url    string
	secret []byte
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
}

func newWebhookSender(c Config) (*webhookSender, error) {
	if u, err := url.Parse(c.WebhookURL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("webhook URL %q is not an absolute URL", c.WebhookURL)
	}
	secret, err := decodeWebhookSecret(c.WebhookSecret)
	if err != nil {
		return nil, err
	}
	return &webhookSender{
		url:    c.WebhookURL,
		secret: secret,
		client: &http.Client{
			Timeout: deliveryTimeout,
			// A redirect is a failed delivery, as it is for Svix.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		log: c.Log,
		now: c.Now,
	}, nil
}

// decodeWebhookSecret returns the key in a secret as Svix writes it.
func decodeWebhookSecret(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return nil, errors.New("webhook secret must begin with whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("webhook secret must be whsec_ and the base64 of a key")
	}
	return key, nil
}

// signature is Svix's of body: HMAC-SHA256 over id, time and body.
func signature(secret []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// send delivers an event once. Svix tries again for a day; here the person who
// pressed the button sees the outcome and presses again.
func (d *webhookSender) send(ctx context.Context, e event) delivery {
	result := delivery{ID: newID("msg_"), Type: e.Type}
	status, err := d.post(ctx, result.ID, e)
	result.Status = status
	if err != nil {
		result.Error = err.Error()
		d.log.Warn("webhook not delivered", "type", e.Type, "id", result.ID, "err", err)
	}
	return result
}

func (d *webhookSender) post(ctx context.Context, id string, e event) (status int, _ error) {
	body, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	now := d.now()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Svix-Webhooks/clerkdev")
	r.Header.Set("svix-id", id)
	r.Header.Set("svix-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("svix-signature", signature(d.secret, id, now, body))
	response, err := d.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection is used again
	if response.StatusCode/100 != 2 {
		return response.StatusCode, fmt.Errorf("the receiver answered %s", response.Status)
	}
	return response.StatusCode, nil
}
