package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// begin sends a person to Clerk: GET /sign-in?return_to=&prompt=login. Whoever
// is signed in there comes back at once; prompt=login asks again, which is how
// to choose another account.
func (s *Service) begin(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	returnTo := localPath(query.Get("return_to"))
	p, err := s.provider(r.Context())
	if err != nil {
		return away(returnTo, err)
	}
	state := secret.New("")
	browser := s.jar.Begin(w, r, signInTrip, state, store.SignInLifetime)
	attempt := store.SignInAttempt{
		Nonce: secret.New(""), Verifier: oauth2.GenerateVerifier(), ReturnTo: returnTo,
		Prompted: query.Get("prompt") == "login",
	}
	if err := s.Store.CreateSignInAttempt(r.Context(), secret.Hash(state), secret.Hash(browser), attempt, s.Now()); err != nil {
		return err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)}
	if attempt.Prompted {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	http.Redirect(w, r, p.oauth.AuthCodeURL(state, options...), http.StatusSeeOther)
	return nil
}

// callback is where Clerk sends the browser back: GET /sign-in/callback.
func (s *Service) callback(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	for name, values := range query {
		if len(values) > 1 { // RFC 6749 §3.1
			return &refusal{status: http.StatusBadRequest, title: "This sign-in cannot be completed",
				message: "The link that led here is damaged.", retry: defaultReturn, err: fmt.Errorf("%.20q is given twice", name)}
		}
	}
	attempt, err := s.takeAttempt(w, r, query.Get("state"))
	if err != nil {
		return err
	}
	if code := query.Get("error"); code != "" {
		return refusedByClerk(code, attempt.ReturnTo)
	}
	// Clerk does not document iss; if it sends one it must be right (RFC 9207 §2.4).
	if issuer := query.Get("iss"); issuer != "" && issuer != s.Issuer {
		return unverified(attempt.ReturnTo, fmt.Errorf("iss is %.100q", issuer))
	}
	if query.Get("code") == "" {
		return unverified(attempt.ReturnTo, errors.New("neither code nor error"))
	}
	userID, err := s.identify(r.Context(), query.Get("code"), attempt)
	if err != nil {
		return err
	}
	if err := s.admit(r.Context(), userID, attempt.ReturnTo); err != nil {
		return err
	}
	if err := s.startSession(r.Context(), w, r, userID, attempt.Prompted); err != nil {
		return err
	}
	s.Log.InfoContext(r.Context(), "signed in", "user", userID)
	http.Redirect(w, r, s.PublicURL+attempt.ReturnTo, http.StatusSeeOther)
	return nil
}

// takeAttempt spends the attempt that state belongs to, if this browser began
// it. Another browser's is left for that one: a link sent to a victim neither
// signs them in as somebody else nor spoils the sign-in it was copied from.
func (s *Service) takeAttempt(w http.ResponseWriter, r *http.Request, state string) (*store.SignInAttempt, error) {
	unknown := &refusal{
		status: http.StatusBadRequest,
		title:  "This sign-in cannot be completed",
		message: "It was begun in another browser or more than ten minutes ago, or it is complete already. " +
			"Signing in again takes a moment.",
		retry: defaultReturn,
	}
	attempt, err := s.Store.TakeSignInAttempt(r.Context(), secret.Hash(state), secret.Hash(s.jar.Browser(r, signInTrip, state)), s.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	s.jar.End(w, signInTrip, state)
	return attempt, nil
}

// identify redeems the code and returns the id of the person Clerk vouches for.
func (s *Service) identify(ctx context.Context, code string, attempt *store.SignInAttempt) (string, error) {
	p, err := s.provider(ctx)
	if err != nil {
		return "", away(attempt.ReturnTo, err)
	}
	userID, err := p.redeem(ctx, s.HTTPClient, code, attempt.Verifier, attempt.Nonce)
	if err == nil {
		return userID, nil
	}
	if errors.Is(err, errUnverified) {
		return "", unverified(attempt.ReturnTo, err)
	}
	// invalid_grant is about this code. Any other refusal (our secret, the rate)
	// and every failure is not the person's to mend.
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		return "", unverified(attempt.ReturnTo, err)
	}
	return "", away(attempt.ReturnTo, err)
}

// admit stores who the person is and where they belong, and refuses those who
// may not sign in.
func (s *Service) admit(ctx context.Context, userID, returnTo string) error {
	person, _, err := s.Directory.Sync(ctx, userID)
	if errors.Is(err, clerk.ErrUnavailable) {
		return away(returnTo, err)
	}
	if errors.Is(err, clerk.ErrNotFound) {
		return closed(userID)
	}
	if err != nil {
		return err
	}
	if person.Banned {
		return closed(userID)
	}
	return nil
}
