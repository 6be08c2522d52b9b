package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/store"
)

func TestSessionLivesWhileItIsUsedAndNotForEver(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	must(t, s.CreateSession(ctx, hash("session"), "user_bob", false, now))
	_, err := s.Session(ctx, hash("other"), now)
	is(t, "unknown", err, store.ErrNotFound)
	for at := now; at.Before(now.Add(store.SessionMaxAge)); at = at.Add(store.SessionIdle - time.Second) {
		got, err := s.Session(ctx, hash("session"), at)
		if err != nil || got.UserID != "user_bob" || got.Email != "bob@acme.example" {
			t.Fatalf("after %v: %+v, %v", at.Sub(now), got, err)
		}
	}
	_, err = s.Session(ctx, hash("session"), now.Add(store.SessionMaxAge))
	is(t, "after eight hours", err, store.ErrNotFound)

	must(t, s.CreateSession(ctx, hash("idle"), "user_bob", false, now))
	_, err = s.Session(ctx, hash("idle"), now.Add(store.SessionIdle))
	is(t, "after an idle hour", err, store.ErrNotFound)

	must(t, s.CreateSession(ctx, hash("ended"), "user_bob", false, now))
	must(t, s.DeleteSession(ctx, hash("ended")))
	must(t, s.DeleteSession(ctx, hash("ended")))
	_, err = s.Session(ctx, hash("ended"), now)
	is(t, "signed out", err, store.ErrNotFound)
}

func TestSessionOfSomebodyBannedIsNone(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	must(t, s.CreateSession(ctx, hash("session"), "user_bob", false, now))
	_, err := s.SavePerson(ctx, store.User{ID: "user_bob", Name: "bob", Banned: true}, nil, now.Add(time.Second), "")
	must(t, err)
	_, err = s.Session(ctx, hash("session"), now)
	is(t, "banned", err, store.ErrNotFound)
	save(t, s, "bob", now.Add(2*time.Second))
	_, err = s.Session(ctx, hash("session"), now)
	is(t, "let in again", err, store.ErrNotFound)
}

func TestSignInAttemptIsTakenOnceByItsBrowser(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	want := store.SignInAttempt{Nonce: "n", Verifier: "v", ReturnTo: "/x"}
	must(t, s.CreateSignInAttempt(ctx, hash("state"), hash("browser"), want, now))
	_, err := s.TakeSignInAttempt(ctx, hash("state"), hash("other"), now)
	is(t, "another browser", err, store.ErrNotFound)
	_, err = s.TakeSignInAttempt(ctx, hash("other"), hash("browser"), now)
	is(t, "another state", err, store.ErrNotFound)
	_, err = s.TakeSignInAttempt(ctx, hash("state"), hash("browser"), now.Add(store.SignInLifetime))
	is(t, "expired", err, store.ErrNotFound)
	got, err := s.TakeSignInAttempt(ctx, hash("state"), hash("browser"), now)
	must(t, err)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("attempt (-want +got):\n%s", diff)
	}
	_, err = s.TakeSignInAttempt(ctx, hash("state"), hash("browser"), now)
	is(t, "taken twice", err, store.ErrNotFound)
}

func TestMembershipsAreWhatClerkSaidLast(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	members := func(orgID string) (ids []string) {
		users, err := s.Members(ctx, orgID)
		must(t, err)
		for _, u := range users {
			ids = append(ids, u.ID)
		}
		return ids
	}
	if diff := cmp.Diff([]string{"user_alice", "user_bob"}, members(acme.ID)); diff != "" {
		t.Errorf("members of Acme (-want +got):\n%s", diff)
	}
	save(t, s, "alice", now.Add(time.Second), store.Membership{Organization: globex, Role: store.RoleAdmin})
	if diff := cmp.Diff([]string{"user_bob"}, members(acme.ID)); diff != "" {
		t.Errorf("members of Acme after Alice left (-want +got):\n%s", diff)
	}
	// An answer that was asked for earlier and came later.
	_, err := s.SavePerson(ctx, store.User{ID: "user_alice", Name: "old"}, []store.Membership{{Organization: globex, Role: store.RoleMember}}, now, "")
	must(t, err)
	var role string
	must(t, s.Pool().QueryRow(ctx, `SELECT role FROM memberships WHERE user_id = 'user_alice' AND org_id = $1`, globex.ID).Scan(&role))
	if role != store.RoleAdmin {
		t.Errorf("role is %s: an older answer replaced a newer one", role)
	}
	u, err := s.User(ctx, "user_alice")
	if err != nil || u.Name != "alice" {
		t.Errorf("user is %+v, %v: an older answer replaced a newer one", u, err)
	}
	_, err = s.User(ctx, "user_nobody")
	is(t, "unknown user", err, store.ErrNotFound)
}

func TestAuthorizationRequestIsBoundToBrowserAndPerson(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	must(t, s.CreateAuthorizationRequest(ctx, hash("handle"), hash("browser"), store.AuthorizationRequest{ClientID: "claude", Form: "a=b"}, now))
	_, err := s.PendingAuthorizationRequest(ctx, hash("handle"), hash("browser"), "user_bob", now)
	is(t, "decided before it was seen", err, store.ErrNotFound)
	_, err = s.ShowAuthorizationRequest(ctx, hash("handle"), hash("other"), "user_bob", now)
	is(t, "seen by another browser", err, store.ErrNotFound)
	shown, err := s.ShowAuthorizationRequest(ctx, hash("handle"), hash("browser"), "user_bob", now)
	if err != nil || shown.ClientID != "claude" || shown.Form != "a=b" {
		t.Fatalf("shown %+v, %v", shown, err)
	}
	_, err = s.PendingAuthorizationRequest(ctx, hash("handle"), hash("browser"), "user_alice", now)
	is(t, "decided by another person", err, store.ErrNotFound)
	_, err = s.PendingAuthorizationRequest(ctx, hash("handle"), hash("browser"), "user_bob", now.Add(store.AuthorizationRequestLifetime))
	is(t, "decided too late", err, store.ErrNotFound)
	_, err = s.PendingAuthorizationRequest(ctx, hash("handle"), hash("browser"), "user_bob", now)
	must(t, err)
	bob := store.Decision{HandleHash: hash("handle"), BrowserHash: hash("browser"), UserID: "user_bob"}
	for name, change := range map[string]func(*store.Decision, *time.Time){
		"another browser": func(d *store.Decision, _ *time.Time) { d.BrowserHash = hash("other") },
		"another person":  func(d *store.Decision, _ *time.Time) { d.UserID = "user_alice" },
		"another request": func(d *store.Decision, _ *time.Time) { d.HandleHash = hash("other") },
		"too late":        func(_ *store.Decision, at *time.Time) { *at = now.Add(store.AuthorizationRequestLifetime) },
	} {
		d, at := bob, now
		change(&d, &at)
		is(t, "denied, "+name, s.TakeAuthorizationRequest(ctx, d, at), store.ErrNotFound)
		is(t, "granted, "+name, s.CreateGrant(ctx, store.Grant{Decision: d}, at), store.ErrNotFound)
	}
	must(t, s.TakeAuthorizationRequest(ctx, bob, now))
	is(t, "denied twice", s.TakeAuthorizationRequest(ctx, bob, now), store.ErrNotFound)
	is(t, "granted after it was denied", s.CreateGrant(ctx, store.Grant{Decision: bob}, now), store.ErrNotFound)
}

func TestUnknownClientIsNotFound(t *testing.T) {
	t.Parallel()
	s := world(t)
	for _, id := range []string{"nobody", "", "a\x00b", "\xff"} {
		_, err := s.Client(t.Context(), id)
		is(t, fmt.Sprintf("client %q", id), err, store.ErrNotFound)
	}
	c, err := s.Client(t.Context(), "claude")
	if err != nil || !c.Public() || c.Name != "claude" {
		t.Errorf("client is %+v, %v", c, err)
	}
}

func TestSigningInAnewIsAnOwnSignInThatCameLater(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		anew, prompted bool
		session        time.Time
		want           bool
	}{
		{false, false, now.Add(-time.Hour), true},
		{true, true, now.Add(-time.Microsecond), false},
		{true, true, now, true},
		{true, true, now.Add(time.Second), true},
		{true, false, now.Add(time.Second), false},
	} {
		r := &store.AuthorizationRequest{SignInAnew: row.anew, CreatedAt: now}
		if got := r.DecidableIn(&store.Session{Prompted: row.prompted, CreatedAt: row.session}); got != row.want {
			t.Errorf("%+v: decidable is %v, want %v", row, got, row.want)
		}
	}
}
