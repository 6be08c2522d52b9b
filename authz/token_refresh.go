package authz

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"scaling.cloud/mcp/store"
)

// badRefreshToken is the one answer to every refresh token that cannot be used.
const badRefreshToken = "The refresh token is unknown, expired, or another client's, or its connection has been revoked. Connect again."

// replayGrace is added to the lifetime of an access token: for that long after
// its use a refresh token is still answered, if its successor has not been used.
// A client whose answer was lost comes back when its access token has expired.
const replayGrace = time.Hour

// clerkGrace is added to the lifetime of an access token: for that long after
// Clerk's last word connections are refreshed on it while Clerk is away. Clients
// that refresh when their token has expired get over an outage of an hour.
const clerkGrace = time.Hour

// clerkOutage is how old Clerk's word may be while Clerk cannot be asked.
func clerkOutage(accessTokenTTL time.Duration) time.Duration { return accessTokenTTL + clerkGrace }

// refresh answers grant_type=refresh_token (RFC 6749 §6). Every use rotates the
// token; parallel uses and lost answers get the same successor, whoever was
// first. A narrower scope narrows the access token, not the connection.
func (s *Server) refresh(ctx context.Context, c *store.Client, form url.Values) (*tokens, error) {
	presented, err := s.presentedRefreshToken(form)
	if err != nil {
		return nil, err
	}
	if _, err := s.resource.canonical(form.Get("resource")); err != nil {
		return nil, err
	}
	requested := requestedScopes(form.Get("scope"))
	now := s.Now()
	next := s.Keys.newRefreshToken(presented.connection, presented.generation+1)
	issued, err := s.rotate(ctx, store.Rotation{
		TokenHash:          presented.hash(),
		ConnectionID:       presented.connection,
		Generation:         presented.generation,
		ClientID:           c.ID,
		SuccessorHash:      next.hash(),
		SuccessorSealed:    s.Keys.sealSuccessor(presented.text, next.text),
		SuccessorExpiresAt: s.refreshExpiry(now),
		ReplayUntilUsed:    ReplayUntilUsed(s.AccessTokenTTL),
		Scopes:             requested,
	}, now)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrReused) {
		return nil, refuse(codeInvalidGrant, badRefreshToken)
	}
	if errors.Is(err, store.ErrNotGranted) {
		return nil, refuse(codeInvalidScope, "None of these scopes was granted. Leave scope out to get all that were.")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	unused := next.text
	if issued.Chain != nil {
		if unused, err = s.followChain(presented.text, issued.Chain); err != nil {
			return nil, err
		}
	}
	return s.issue(issued.Connection, narrowed(issued.Connection.Scopes, requested), unused, now)
}

// rotate rotates a refresh token if Clerk has said lately that the person belongs
// to the organization (design §8). Where the stored word is too old Clerk is
// asked, and its answer takes effect first: of somebody who was removed nothing
// is left to rotate. While Clerk is away an older word does, within clerkOutage.
func (s *Server) rotate(ctx context.Context, r store.Rotation, now time.Time) (*store.Issued, error) {
	r.SyncedAfter = now.Add(-store.MembershipAge)
	issued, err := s.rotateOnce(ctx, r, now)
	if !errors.Is(err, store.ErrStale) {
		return issued, err
	}
	away := s.recheck(ctx, issued.Connection)
	if away != nil {
		r.SyncedAfter = now.Add(-clerkOutage(s.AccessTokenTTL))
	}
	issued, err = s.rotateOnce(ctx, r, now)
	if errors.Is(err, store.ErrStale) {
		return nil, unavailable(errors.Join(err, away))
	}
	return issued, err
}

func (s *Server) rotateOnce(ctx context.Context, r store.Rotation, now time.Time) (*store.Issued, error) {
	issued, err := s.Store.RotateRefreshToken(ctx, r, now)
	if issued != nil && len(issued.Revoked) > 0 {
		s.Revocations.Publish(ctx, issued.Revoked...)
	}
	return issued, err
}

// recheckBound bounds one question about a person. The client waits for ten
// seconds, and there is a refresh to be done after it.
const recheckBound = 7 * time.Second

// recheck has Clerk asked about the person of a connection, once for everybody
// who needs it now. An error means that there was no answer.
func (s *Server) recheck(ctx context.Context, c *store.Connection) error {
	answer := s.rechecks.DoChan(c.UserID, func() (any, error) {
		// Others wait for this answer too, so it outlives the first's request.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheckBound)
		defer cancel()
		// Somebody may have asked since the word was found too old, here or on
		// another replica.
		at, err := s.Store.MembershipSyncedAt(ctx, c.OrgID, c.UserID)
		if err == nil && at.After(s.Now().Add(-store.MembershipAge)) {
			return nil, nil
		}
		if _, _, err = s.Directory.Sync(ctx, c.UserID); errors.Is(err, store.ErrNotFound) {
			return nil, nil // an answer, which has taken effect
		}
		return nil, err
	})
	select {
	case result := <-answer:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// presentedRefreshToken returns the refresh token in a token request.
func (s *Server) presentedRefreshToken(form url.Values) (refreshToken, error) {
	text := form.Get("refresh_token")
	if text == "" {
		return refreshToken{}, refuse(codeInvalidRequest, "refresh_token is missing.")
	}
	token, ours := s.Keys.parseRefreshToken(text)
	if !ours {
		return refreshToken{}, refuse(codeInvalidGrant, badRefreshToken)
	}
	return token, nil
}

// followChain opens successor by successor, from the token that was presented to
// the one that is unused. Nobody who does not hold a token of the chain can.
func (s *Server) followChain(presented string, chain []store.ChainLink) (unused string, err error) {
	unused = presented
	for _, link := range chain {
		if unused, err = s.Keys.openSuccessor(unused, link.SuccessorSealed); err != nil {
			return "", fmt.Errorf("authz: a successor does not open: %w", err)
		}
	}
	return unused, nil
}

// ReplayUntilUsed is how long a used refresh token is answered while its
// successor is unused. Seals are kept that long.
func ReplayUntilUsed(accessTokenTTL time.Duration) time.Duration { return accessTokenTTL + replayGrace }
