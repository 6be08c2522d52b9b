package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// exchangeTimeout bounds one exchange with Clerk: discovery, or code and keys.
const exchangeTimeout = 10 * time.Second

// provider is Clerk as an OpenID provider.
type provider struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// errUnverified: what Clerk sent is not an ID token for us and this attempt.
var errUnverified = errors.New("ID token refused")

// subject is the shape of Clerk's user ids.
var subject = regexp.MustCompile(`^user_[A-Za-z0-9]+$`)

// provider returns Clerk's metadata, fetched by the first who needs it. A
// failure is not kept: the next person asks again.
func (s *Service) provider(ctx context.Context) (*provider, error) {
	if p := s.discovered.Load(); p != nil {
		return p, nil
	}
	answer := s.discovering.DoChan("", func() (any, error) {
		// Others wait for this answer too, so it outlives the first's request.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTimeout)
		defer cancel()
		p, err := s.discover(ctx)
		if err == nil {
			s.discovered.Store(p)
		}
		return p, err
	})
	select {
	case result := <-answer:
		return result.Val.(*provider), result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// discover reads Clerk's metadata (OpenID Connect Discovery §4). go-oidc
// refuses it unless its issuer is ours to the byte.
func (s *Service) discover(ctx context.Context) (*provider, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, s.HTTPClient), s.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discovering %s: %w", s.Issuer, err)
	}
	endpoint := found.Endpoint()
	// Without this x/oauth2 finds out by sending the code twice, and the second
	// refusal, of a code that is spent, hides the first.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &provider{
		oauth: oauth2.Config{
			ClientID:     s.ClientID,
			ClientSecret: s.ClientSecret,
			Endpoint:     endpoint,
			RedirectURL:  s.PublicURL + "/sign-in/callback",
			Scopes:       []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail},
		},
		verifier: found.Verifier(&oidc.Config{
			ClientID:             s.ClientID,
			SupportedSigningAlgs: []string{oidc.RS256},
			Now:                  s.Now,
		}),
	}, nil
}

// redeem exchanges the code and returns the subject of a valid ID token
// (OpenID Connect Core §3.1.3.7). Errors are *oauth2.RetrieveError where Clerk
// refused, errUnverified where its answer is not to be believed, else network.
func (p *provider) redeem(ctx context.Context, client *http.Client, code, verifier, nonce string) (string, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, client), exchangeTimeout)
	defer cancel()
	token, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "", err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", fmt.Errorf("%w: there is none", errUnverified)
	}
	idToken, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnverified, err)
	}
	if len(idToken.Audience) != 1 {
		return "", fmt.Errorf("%w: it is for %d audiences", errUnverified, len(idToken.Audience))
	}
	// go-oidc leaves the nonce to its caller. It is what binds the token to this
	// attempt: without one, a code stolen elsewhere could be brought in here.
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(nonce)) != 1 {
		return "", fmt.Errorf("%w: nonce differs", errUnverified)
	}
	if !subject.MatchString(idToken.Subject) {
		return "", fmt.Errorf("%w: sub %.40q is no user of Clerk", errUnverified, idToken.Subject)
	}
	return idToken.Subject, nil
}
