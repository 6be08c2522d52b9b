package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var adminListening = regexp.MustCompile(`msg="listening for the operator" address=(\S+)`)

func TestAdminListenerCountsRequestsByRouteAndIsNotPublic(t *testing.T) {
	t.Parallel()
	s := startTestDev(t, "--admin-listen", "127.0.0.1:0")
	admin := "http://" + adminListening.FindStringSubmatch(s.log.String())[1]
	s.get(t, http.MethodGet, s.url+"/oauth/jwks", asProgram)
	s.get(t, http.MethodPost, s.url+"/mcp", asProgram)
	s.get(t, http.MethodGet, s.url+"/chosen-by-a-stranger", asProgram)
	response, body := s.get(t, http.MethodGet, admin+"/metrics", asProgram)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %d %s", response.StatusCode, body)
	}
	for _, want := range []string{
		`scaling_http_request_duration_seconds_count{route="/oauth/jwks",status="2xx"} 1`,
		`scaling_http_request_duration_seconds_count{route="/mcp",status="4xx"} 1`,
		`scaling_http_request_duration_seconds_count{route="/",status="4xx"} 1`,
		"go_goroutines ", "process_start_time_seconds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s:\n%s", want, body)
		}
	}
	if strings.Contains(body, "stranger") {
		t.Error("what a stranger asked for is a label")
	}
	if response, _ := s.get(t, http.MethodGet, admin+"/debug/pprof/goroutine?debug=1", asProgram); response.StatusCode != http.StatusOK {
		t.Errorf("/debug/pprof/goroutine: %d", response.StatusCode)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if response, _ := s.get(t, http.MethodGet, s.url+path, asProgram); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s in public: %d, want 404", path, response.StatusCode)
		}
	}
}
