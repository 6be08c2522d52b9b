package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// get requests a path of a running system and returns the answer with its body.
// A redirect is an answer.
func (s *system) get(t testing.TB, method, url, accept string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

const (
	asBrowser = "text/html,application/xhtml+xml,*/*;q=0.8"
	asProgram = "application/json"
)

// TestEveryRouteByMethod is the table of what a stranger gets, by path and method.
func TestEveryRouteByMethod(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions}
	for path, want := range map[string][5]int{
		"/":                                      {200, 200, 401, 401, 204},
		"/mcp":                                   {401, 401, 401, 401, 204},
		"/.well-known/oauth-protected-resource":  {200, 200, 405, 405, 204},
		"/.well-known/oauth-protected-resource/": {200, 200, 405, 405, 204},
		"/.well-known/oauth-protected-resource/mcp":       {200, 200, 405, 405, 204},
		"/.well-known/oauth-authorization-server":         {200, 200, 405, 405, 204},
		"/.well-known/oauth-authorization-server/mcp":     {200, 200, 405, 405, 204},
		"/.well-known/openid-configuration":               {200, 200, 405, 405, 204},
		"/oauth/jwks":                                     {200, 200, 405, 405, 204},
		"/oauth/register":                                 {405, 405, 400, 405, 204},
		"/oauth/token":                                    {405, 405, 400, 405, 204},
		"/oauth/revoke":                                   {405, 405, 400, 405, 204},
		"/oauth/par":                                      {405, 405, 400, 405, 204},
		"/oauth/authorize":                                {400, 400, 400, 405, 405},
		"/oauth/consent":                                  {303, 303, 303, 405, 405},
		"/webhooks/clerk":                                 {405, 405, 400, 405, 405},
		"/sign-in":                                        {303, 303, 405, 405, 405},
		"/sign-out":                                       {405, 405, 303, 405, 405},
		"/settings/connections":                           {303, 303, 404, 404, 404},
		"/settings/connections/revoke":                    {303, 303, 303, 404, 404},
		"/settings/activity":                              {303, 303, 404, 404, 404},
		"/settings/activity.csv":                          {303, 303, 404, 404, 404},
		"/settings/activity.jsonl":                        {303, 303, 404, 404, 404},
		"/settings/drafts":                                {303, 303, 404, 404, 404},
		"/incidents/01940000-0000-7000-8000-000000000001": {303, 303, 405, 405, 405},
		"/status/acme":                                    {200, 200, 405, 405, 405},
		"/status/nobody":                                  {404, 404, 405, 405, 405},
		"/settings/connect":                               {303, 303, 404, 404, 404},
		"/settings/connect/arrived":                       {303, 303, 404, 404, 404},
		"/settings/policy":                                {303, 303, 404, 404, 404},
		"/settings/policy/save":                           {404, 404, 303, 404, 404},
		"/settings/policy/block":                          {303, 303, 303, 404, 404},
		"/settings/policy/unblock":                        {404, 404, 303, 404, 404},
		"/healthz":                                        {200, 200, 405, 405, 405},
		"/readyz":                                         {200, 200, 405, 405, 405},
		"/dev/outbox":                                     {200, 200, 405, 405, 405},
		"/oauth/introspect":                               {405, 405, 400, 405, 405},
		"/.well-known/nothing":                            {404, 404, 404, 404, 404},
		"/%2e%2e/%2e%2e/etc/hosts":                        {404, 404, 404, 404, 404},
	} {
		for i, method := range methods {
			response, body := s.get(t, method, s.url+path, asBrowser)
			if response.StatusCode != want[i] {
				t.Errorf("%s %s: %d, want %d: %.200s", method, path, response.StatusCode, want[i], body)
			}
			if response.StatusCode == http.StatusMethodNotAllowed && response.Header.Get("Allow") == "" {
				t.Errorf("%s %s: 405 without Allow", method, path)
			}
			if response.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s %s: no request id", method, path)
			}
		}
	}
}

func TestUnknownPathsAnswerInTheirReadersForm(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	response, body := s.get(t, http.MethodGet, s.url+"/nothing", asBrowser)
	if response.StatusCode != http.StatusNotFound || !strings.Contains(body, "<h1") {
		t.Errorf("a browser got %d %q, want a page", response.StatusCode, body)
	}
	response, body = s.get(t, http.MethodGet, s.url+"/.well-known/nothing", asProgram)
	if response.StatusCode != http.StatusNotFound || !json.Valid([]byte(body)) {
		t.Errorf("a program got %d %q, want JSON", response.StatusCode, body)
	}
}

func TestBrowserIsSentToTheHostThatHasItsCookies(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	other := strings.Replace(s.url, "localhost", "127.0.0.1", 1)
	response, _ := s.get(t, http.MethodGet, other+"/settings/connections?view=organization", asBrowser)
	if got, want := response.Header.Get("Location"), s.url+"/settings/connections?view=organization"; got != want {
		t.Errorf("Location is %q, want %q", got, want)
	}
	if response, _ := s.get(t, http.MethodGet, other+"/.well-known/oauth-protected-resource", asProgram); response.StatusCode != http.StatusOK {
		t.Errorf("a program got %d, want 200", response.StatusCode)
	}
}

func TestQueryIsNotLogged(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	s.get(t, http.MethodGet, s.url+"/sign-in/callback?code=topsecret&state=x", asBrowser)
	s.get(t, http.MethodGet, s.url+"/oauth/consent?request=topsecret", asBrowser)
	s.stop()
	log := s.log.String()
	if strings.Contains(log, "topsecret") {
		t.Errorf("a secret is in the log: %s", log)
	}
	if strings.Count(log, "msg=request ") != 2 || !strings.Contains(log, "path=/sign-in/callback status=400") {
		t.Errorf("want one line for each request: %s", log)
	}
}
