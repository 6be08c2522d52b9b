// Package clerk asks Clerk's Backend API who a person is and where they
// belong. Client asks and never remembers; Directory lets what it heard take
// effect in the store, and remembers memberships for a minute; Webhooks is where
// Clerk tells us that it is time to ask.
//
// Answers are all or nothing: a list that is cut short, a body that does not
// parse or describes somebody else is ErrUnavailable, never a shorter list.
// Signing people in is package signin's.
package clerk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"scaling.cloud/mcp/store"
)

// Outcomes that a caller decides on. Every error of this package is one of
// them, or the store's.
var (
	// ErrNotFound: Clerk says that there is no such person, organization or
	// session.
	ErrNotFound = fmt.Errorf("at Clerk: %w", store.ErrNotFound)
	// ErrUnavailable: Clerk gave no usable answer. Nothing follows from it
	// about the person.
	ErrUnavailable = errors.New("no usable answer from Clerk")
)

// callTimeout bounds one question to Clerk with all its retries. Whoever waits
// for the answer gets ten seconds, and has something to do when there is none.
const callTimeout = 6 * time.Second

// Lists are read in pages. Whoever is in more organizations than fit in all
// pages is not a person but a mistake, or an attack on our memory.
const (
	pageSize = 100
	maxPages = 10
)

// Config says how to reach Clerk.
type Config struct {
	APIURL     string       // without /v1; empty: https://api.clerk.com
	SecretKey  string       // sk_…
	HTTPClient *http.Client // nil: http.DefaultClient; its transport is wrapped
	Log        *slog.Logger // nil: discards
	Now        func() time.Time
}

// Client reads the Backend API. It is safe for concurrent use.
type Client struct {
	users         *user.Client
	organizations *organization.Client
	sessions      *session.Client
	now           func() time.Time
}

// New returns a Client.
func New(c Config) *Client {
	if c.APIURL == "" {
		c.APIURL = "https://api.clerk.com"
	}
	if c.HTTPClient == nil {
		c.HTTPClient = http.DefaultClient
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	client := *c.HTTPClient
	client.Transport = &retrier{base: cmp.Or(client.Transport, http.DefaultTransport), log: c.Log, now: c.Now}
	backend := &sdk.ClientConfig{BackendConfig: sdk.BackendConfig{
		URL:        sdk.String(strings.TrimSuffix(c.APIURL, "/") + "/v1"),
		Key:        sdk.String(c.SecretKey),
		HTTPClient: &client,
	}}
	return &Client{
		users:         user.NewClient(backend),
		organizations: organization.NewClient(backend),
		sessions:      session.NewClient(backend),
		now:           c.Now,
	}
}

// ids are what may become part of a URL: the SDK joins paths without escaping,
// and would carry our secret key to wherever "../" leads.
var (
	userID         = regexp.MustCompile(`^user_[A-Za-z0-9]+$`)
	organizationID = regexp.MustCompile(`^org_[A-Za-z0-9]+$`)
	sessionID      = regexp.MustCompile(`^sess_[A-Za-z0-9]+$`)
)

// User returns the person with the given id as Clerk describes them now.
func (c *Client) User(ctx context.Context, id string) (store.User, error) {
	if !userID.MatchString(id) {
		return store.User{}, fmt.Errorf("clerk: %.40q is no user id: %w", id, ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.users.Get(ctx, id)
	if err != nil {
		return store.User{}, failure("reading user", err)
	}
	if answer.ID != id {
		return store.User{}, fmt.Errorf("clerk: asked for user %s, was told of %.40q: %w", id, answer.ID, ErrUnavailable)
	}
	// Set by a customer's directory (SCIM); the SDK does not know it yet.
	var more struct {
		Deprovisioned bool `json:"deprovisioned"`
	}
	if err := json.Unmarshal(answer.Response.RawJSON, &more); err != nil {
		return store.User{}, failure("reading user", err)
	}
	u := store.User{ID: id, Banned: answer.Banned || more.Deprovisioned}
	for _, e := range answer.EmailAddresses {
		if answer.PrimaryEmailAddressID != nil && e.ID == *answer.PrimaryEmailAddressID {
			u.Email = e.EmailAddress
			u.EmailVerified = e.Verification != nil && e.Verification.Status == "verified"
		}
	}
	u.Name = personName(answer, u.Email)
	return u, nil
}

// personName is what to call somebody: their name, else the user name, else the
// e-mail address, else the id, so that no page shows a nameless row.
func personName(u *sdk.User, email string) string {
	full := strings.TrimSpace(text(u.FirstName) + " " + text(u.LastName))
	return cmp.Or(full, text(u.Username), email, u.ID)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}

// Memberships returns all organizations that a person belongs to, by name.
func (c *Client) Memberships(ctx context.Context, id string) ([]store.Membership, error) {
	if !userID.MatchString(id) {
		return nil, fmt.Errorf("clerk: %.40q is no user id: %w", id, ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var all []store.Membership
	for range maxPages {
		page, err := c.users.ListOrganizationMemberships(ctx, id, &user.ListOrganizationMembershipsParams{
			ListParams: sdk.ListParams{Limit: sdk.Int64(pageSize), Offset: sdk.Int64(int64(len(all)))},
		})
		if err != nil {
			return nil, failure("reading memberships", err)
		}
		for _, m := range page.OrganizationMemberships {
			membership, err := membershipOf(id, m)
			if err != nil {
				return nil, err
			}
			all = append(all, membership)
		}
		if int64(len(all)) >= page.TotalCount {
			return sorted(all), nil
		}
		if len(page.OrganizationMemberships) == 0 {
			return nil, fmt.Errorf("clerk: memberships of %s end at %d of %d: %w", id, len(all), page.TotalCount, ErrUnavailable)
		}
	}
	return nil, fmt.Errorf("clerk: %s has more than %d memberships: %w", id, maxPages*pageSize, ErrUnavailable)
}

func membershipOf(id string, m *sdk.OrganizationMembership) (store.Membership, error) {
	if m == nil || m.Organization == nil || !organizationID.MatchString(m.Organization.ID) || m.Role == "" {
		return store.Membership{}, fmt.Errorf("clerk: a membership of %s is incomplete: %w", id, ErrUnavailable)
	}
	if m.PublicUserData != nil && m.PublicUserData.UserID != id {
		return store.Membership{}, fmt.Errorf("clerk: asked for memberships of %s, got one of %.40q: %w", id, m.PublicUserData.UserID, ErrUnavailable)
	}
	return store.Membership{Organization: organizationOf(m.Organization), Role: m.Role}, nil
}

func organizationOf(o *sdk.Organization) store.Organization {
	return store.Organization{
		ID: o.ID,
		// Slugs can be switched off at Clerk; URLs of ours need something.
		Slug: cmp.Or(o.Slug, o.ID),
		Name: cmp.Or(strings.TrimSpace(o.Name), o.Slug, o.ID),
	}
}

// Organization returns the organization with the given id as Clerk describes it
// now.
func (c *Client) Organization(ctx context.Context, id string) (store.Organization, error) {
	if !organizationID.MatchString(id) {
		return store.Organization{}, fmt.Errorf("clerk: %.40q is no organization id: %w", id, ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.organizations.Get(ctx, id)
	if err != nil {
		return store.Organization{}, failure("reading organization", err)
	}
	if answer.ID != id {
		return store.Organization{}, fmt.Errorf("clerk: asked for organization %s, was told of %.40q: %w", id, answer.ID, ErrUnavailable)
	}
	return organizationOf(answer), nil
}

// Session is somebody's session at Clerk.
type Session struct {
	UserID    string
	Revoked   bool      // not by the person, who would have signed out
	UpdatedAt time.Time // of a revoked one: when that happened
}

// Session returns the session with the given id as Clerk describes it now.
func (c *Client) Session(ctx context.Context, id string) (Session, error) {
	if !sessionID.MatchString(id) {
		return Session{}, fmt.Errorf("clerk: %.40q is no session id: %w", id, ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.sessions.Get(ctx, id)
	if err != nil {
		return Session{}, failure("reading session", err)
	}
	if answer.ID != id || !userID.MatchString(answer.UserID) || answer.UpdatedAt <= 0 {
		return Session{}, fmt.Errorf("clerk: asked for session %s, was told of %.40q of %.40q: %w", id, answer.ID, answer.UserID, ErrUnavailable)
	}
	return Session{UserID: answer.UserID, Revoked: answer.Status == "revoked", UpdatedAt: time.UnixMilli(answer.UpdatedAt)}, nil
}

// sorted orders memberships by the organization's name. An organization that
// moved between two pages while they were read is in there once.
func sorted(all []store.Membership) []store.Membership {
	slices.SortFunc(all, func(a, b store.Membership) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return slices.CompactFunc(all, func(a, b store.Membership) bool { return a.ID == b.ID })
}

// failure sorts an error of the SDK into our outcomes. Only Clerk's own "there
// is no such resource" counts as such: a 404 of some proxy in between must not
// look like a deleted account.
func failure(doing string, err error) error {
	answer, ok := errors.AsType[*sdk.APIErrorResponse](err)
	if !ok {
		if cause := networkCause(err); cause != nil {
			return fmt.Errorf("clerk: %s: %w: %w", doing, ErrUnavailable, cause)
		}
		// For a body that is not Clerk's the SDK's error is that whole body.
		return fmt.Errorf("clerk: %s: %w: %.200q", doing, ErrUnavailable, err.Error())
	}
	code := ""
	if len(answer.Errors) > 0 {
		code = answer.Errors[0].Code
	}
	// The status of the response, not the member "status" of its body.
	status := answer.Response.StatusCode
	if status == http.StatusNotFound && code == "resource_not_found" {
		return fmt.Errorf("clerk: %s: %w", doing, ErrNotFound)
	}
	return fmt.Errorf("clerk: %s: %w: status %d, code %.60q, trace %.60q", doing, ErrUnavailable, status, code, answer.Response.TraceID)
}
