package clerk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WebhookSecret is what Clerk signs webhooks with. It never prints itself.
type WebhookSecret struct{ key []byte }

func (WebhookSecret) String() string       { return "[redacted]" }
func (WebhookSecret) GoString() string     { return "[redacted]" }
func (WebhookSecret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// ParseWebhookSecret reads a secret as Clerk's dashboard shows it: whsec_ and
// the base64 of a key, of 24 bytes at least (Standard Webhooks, "Signature
// scheme").
func ParseWebhookSecret(text string) (WebhookSecret, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 {
		return WebhookSecret{}, errors.New("not whsec_ and the base64 of a key")
	}
	return WebhookSecret{key}, nil
}

// signatureTolerance is how far the clock of a webhook may be from ours: what
// was recorded earlier cannot be sent again.
const signatureTolerance = 5 * time.Minute

// verify returns the id of a webhook whose headers sign body, as Svix does it
// (Standard Webhooks). Svix has two names for each header, and while a secret is
// being changed it sends several signatures, one of which must be ours.
func (s WebhookSecret) verify(h http.Header, body []byte, now time.Time) (id string, _ error) {
	prefix := "svix-"
	if h.Get(prefix+"id") == "" {
		prefix = "webhook-"
	}
	id, sent := h.Get(prefix+"id"), h.Get(prefix+"timestamp")
	if id == "" || len(id) > 256 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", errors.New("its id is missing or malformed")
	}
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return "", errors.New("its timestamp is missing or malformed")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > signatureTolerance {
		return "", fmt.Errorf("its timestamp is %v away", age)
	}
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, sent, body)
	want := mac.Sum(nil)
	for signature := range strings.FieldsSeq(h.Get(prefix + "signature")) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if ok && err == nil && hmac.Equal(got, want) {
			return id, nil
		}
	}
	return "", errors.New("no signature of it is ours")
}
