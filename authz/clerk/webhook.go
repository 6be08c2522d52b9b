package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"scaling.cloud/mcp/store"
)

// Webhooks takes Clerk's webhooks, at POST /webhooks/clerk. They come late, twice,
// out of order, or not at all, so each is a hint and no more: Clerk is asked, and
// its answer takes effect. Only while Clerk is away does a deletion count as it
// was delivered; a webhook that deletes nothing is then refused, and Svix repeats
// it for a day.
type Webhooks struct {
	directory *Directory
	secret    WebhookSecret
	log       *slog.Logger
	now       func() time.Time
}

// NewWebhooks returns a Webhooks that lets directory ask.
func NewWebhooks(directory *Directory, secret WebhookSecret, log *slog.Logger) *Webhooks {
	return &Webhooks{directory: directory, secret: secret, log: log, now: directory.client.now}
}

// maxWebhook bounds a webhook's body. Clerk lets a person's metadata have 8 KiB
// for each kind, and a session's webhook holds the person.
const maxWebhook = 256 << 10

// subject is what a webhook is about: those members of the objects of Clerk that
// say which one it is.
type subject struct {
	ID           string `json:"id"`
	UserID       string `json:"user_id"`    // of a session
	UpdatedAt    int64  `json:"updated_at"` // of a session, in milliseconds
	Organization struct {
		ID string `json:"id"`
	} `json:"organization"` // of a membership
	PublicUserData struct {
		UserID string `json:"user_id"`
	} `json:"public_user_data"` // of a membership
}

// effects are the webhooks that we act on. That a session ended or was removed
// is somebody signing out at Clerk, which ends nothing here.
var effects = map[string]func(*Webhooks, context.Context, subject, store.Delivery) error{
	"user.created":                   (*Webhooks).userChanged,
	"user.updated":                   (*Webhooks).userChanged,
	"user.deleted":                   (*Webhooks).userDeleted,
	"organizationMembership.created": (*Webhooks).membershipChanged,
	"organizationMembership.updated": (*Webhooks).membershipChanged,
	"organizationMembership.deleted": (*Webhooks).membershipDeleted,
	"organization.created":           (*Webhooks).organizationChanged,
	"organization.updated":           (*Webhooks).organizationChanged,
	"organization.deleted":           (*Webhooks).organizationDeleted,
	"session.revoked":                (*Webhooks).sessionRevoked,
}

// errMalformed: a webhook that is Clerk's, and yet not as Clerk describes it.
var errMalformed = errors.New("malformed webhook")

// ServeHTTP answers 204 when the webhook has had its effect, now or before, or
// has none.
func (w *Webhooks) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxWebhook))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		w.refuse(rw, r, http.StatusRequestEntityTooLarge, "invalid_request", "The webhook is too large.", err)
		return
	}
	if err != nil {
		w.refuse(rw, r, http.StatusBadRequest, "invalid_request", "The webhook could not be read.", err)
		return
	}
	id, err := w.secret.verify(r.Header, body, w.now())
	if err != nil {
		w.refuse(rw, r, http.StatusBadRequest, "invalid_request", "The webhook is not signed by Clerk, or not lately.", err)
		return
	}
	kind, err := w.take(r.Context(), store.Delivery(id), body)
	if errors.Is(err, errMalformed) {
		w.refuse(rw, r, http.StatusBadRequest, "invalid_request", "The webhook is not one that Clerk describes.", err)
		return
	}
	if err != nil {
		rw.Header().Set("Retry-After", "5")
		w.refuse(rw, r, http.StatusServiceUnavailable, "temporarily_unavailable", "The webhook cannot take effect at the moment. Send it again.", err)
		return
	}
	w.log.InfoContext(r.Context(), "webhook of Clerk", "type", kind, "id", id)
	rw.WriteHeader(http.StatusNoContent)
}

// take lets a webhook that is Clerk's have its effect once.
func (w *Webhooks) take(ctx context.Context, id store.Delivery, body []byte) (kind string, err error) {
	var event struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Type == "" {
		return "", errMalformed
	}
	effect, ok := effects[event.Type]
	if !ok {
		return event.Type, nil
	}
	var of subject
	if err := json.Unmarshal(event.Data, &of); err != nil {
		return event.Type, errMalformed
	}
	if seen, err := w.directory.store.DeliverySeen(ctx, id); seen || err != nil {
		return event.Type, err
	}
	err = effect(w, ctx, of, id)
	if errors.Is(err, ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return event.Type, nil // forgotten; or seen, by one that came at the same time
	}
	return event.Type, err
}

func (w *Webhooks) userChanged(ctx context.Context, of subject, id store.Delivery) error {
	if !userID.MatchString(of.ID) {
		return fmt.Errorf("%w: user %.40q", errMalformed, of.ID)
	}
	_, _, err := w.directory.sync(ctx, of.ID, id)
	return err
}

func (w *Webhooks) userDeleted(ctx context.Context, of subject, id store.Delivery) error {
	err := w.userChanged(ctx, of, id)
	if errors.Is(err, ErrUnavailable) {
		return w.directory.forgetUser(ctx, of.ID, w.now(), id)
	}
	return err
}

func (w *Webhooks) membershipChanged(ctx context.Context, of subject, id store.Delivery) error {
	return w.userChanged(ctx, subject{ID: of.PublicUserData.UserID}, id)
}

func (w *Webhooks) membershipDeleted(ctx context.Context, of subject, id store.Delivery) error {
	if !organizationID.MatchString(of.Organization.ID) {
		return fmt.Errorf("%w: membership in %.40q", errMalformed, of.Organization.ID)
	}
	err := w.membershipChanged(ctx, of, id)
	if errors.Is(err, ErrUnavailable) {
		return w.directory.removeMember(ctx, of.Organization.ID, of.PublicUserData.UserID, w.now(), id)
	}
	return err
}

func (w *Webhooks) organizationChanged(ctx context.Context, of subject, id store.Delivery) error {
	if !organizationID.MatchString(of.ID) {
		return fmt.Errorf("%w: organization %.40q", errMalformed, of.ID)
	}
	asked := w.now()
	o, err := w.directory.client.Organization(ctx, of.ID)
	if errors.Is(err, ErrNotFound) {
		return w.directory.forgetOrganization(ctx, of.ID, asked, id)
	}
	if err != nil {
		return err
	}
	return w.directory.store.SaveOrganization(ctx, o, asked, id)
}

func (w *Webhooks) organizationDeleted(ctx context.Context, of subject, id store.Delivery) error {
	err := w.organizationChanged(ctx, of, id)
	if errors.Is(err, ErrUnavailable) {
		return w.directory.forgetOrganization(ctx, of.ID, w.now(), id)
	}
	return err
}

// sessionRevoked ends the browser sessions that began before a session at Clerk
// was revoked, which is what somebody does whose device was stolen. What a person
// began after that is their own.
func (w *Webhooks) sessionRevoked(ctx context.Context, of subject, id store.Delivery) error {
	if !sessionID.MatchString(of.ID) || !userID.MatchString(of.UserID) || of.UpdatedAt <= 0 {
		return fmt.Errorf("%w: session %.40q of %.40q", errMalformed, of.ID, of.UserID)
	}
	session, err := w.directory.client.Session(ctx, of.ID)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnavailable) {
		// A session that Clerk has cleared away was revoked all the same.
		session, err = Session{UserID: of.UserID, Revoked: true, UpdatedAt: time.UnixMilli(of.UpdatedAt)}, nil
	}
	if err != nil || !session.Revoked {
		return err
	}
	// Clerk leaves out what is less than a millisecond.
	return w.directory.store.EndSessions(ctx, session.UserID, session.UpdatedAt.Add(time.Millisecond), w.now(), id)
}

// refuse writes the JSON form of RFC 6749 §5.2. The body is in no log: it holds
// people's addresses.
func (w *Webhooks) refuse(rw http.ResponseWriter, r *http.Request, status int, code, description string, err error) {
	w.log.WarnContext(r.Context(), "webhook of Clerk refused", "status", status, "error", err)
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}
