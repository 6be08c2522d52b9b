package main

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store/storetest"
)

// TestAStoppedServerHasRecordedWhatItAnswered: it is told to stop amid calls of a
// tool that only reads, which are recorded behind their backs.
func TestAStoppedServerHasRecordedWhatItAnswered(t *testing.T) {
	t.Parallel()
	database := storetest.OpenURL(t)
	s := startDev(t, "--database-url", database)
	token := s.connect(newPerson(t, "alice@acme.example"), "Reader", clerkdev.AcmeID).token().AccessToken

	var answered atomic.Int64
	busy := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/mcp", strings.NewReader(
					`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_incident","arguments":{"sequentialId":1}}}`))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", "application/json, text/event-stream")
				r.Header.Set("Authorization", "Bearer "+token)
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					return // it has stopped
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err == nil && strings.Contains(string(body), "structuredContent") && answered.Add(1) == 100 {
					close(busy)
				}
			}
		})
	}
	<-busy
	s.stop()
	callers.Wait()

	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var recorded int64
	var client string
	err = conn.QueryRow(t.Context(), `
		SELECT count(*), min(client_name) FROM audit_events
		WHERE action = 'get_incident' AND outcome = 'ok' AND incident = 1 AND request_id <> ''`).Scan(&recorded, &client)
	if err != nil {
		t.Fatal(err)
	}
	if recorded < answered.Load() || client != "Reader" {
		t.Errorf("recorded %d calls of %q, answered %d of Reader", recorded, client, answered.Load())
	}
}
