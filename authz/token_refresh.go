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

// refresh answers grant_type=refresh_token (RFC 6749 §6). Every use rotates the
// token; parallel uses and lost answers get the same successor, whoever was
// first. A narrower scope narrows the access token, not the connection.
func (s *Server) refresh(ctx context.Context, c *store.Client, form url.Values) (*tokens, error) {
	text := form.Get("refresh_token")
	if text == "" {
		return nil, refuse(codeInvalidRequest, "refresh_token is missing.")
	}
	presented, ok := s.Keys.parseRefreshToken(text)
	if !ok {
		return nil, refuse(codeInvalidGrant, badRefreshToken)
	}
	if _, err := s.resource.canonical(form.Get("resource")); err != nil {
		return nil, err
	}
	requested := requestedScopes(form.Get("scope"))
	now := s.Now()
	next := s.Keys.newRefreshToken(presented.connection, presented.generation+1)
	issued, err := s.Store.RotateRefreshToken(ctx, store.Rotation{
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
	if issued != nil && len(issued.Revoked) > 0 {
		s.Revocations.Publish(ctx, issued.Revoked...)
	}
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
