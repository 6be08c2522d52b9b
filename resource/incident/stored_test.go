package incident

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

var update = flag.Bool("update", false, "rewrite testdata/created.json")

// TestWhatIsStoredKeepsItsForm: keys outlive a release by a day, so what one
// release stored the next must read, and hash alike. A new form of the file is
// a decision.
func TestWhatIsStoredKeepsItsForm(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC)
	id := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	bea := store.Person{ID: "bea", Name: "Bea", Email: "bea@example.com"}
	want := &Created{
		Incident: &store.Incident{
			ID: id(1), OrgID: "acme", SequentialID: 7, Title: "t", Description: "d",
			Severity: store.SeverityHigh, Status: store.StatusInvestigating, Owner: &bea, EscalationPolicyID: new(id(2)),
			AffectedComponents: []store.ComponentRef{{ID: id(3), Name: "API"}},
			AcknowledgedAt:     &at, CreatedBy: store.Actor{Person: store.Person{ID: "ann", Name: "Ann", Email: "ann@example.com"}, Via: new("Claude")},
			CreatedAt: at, UpdatedAt: at, ResolvedAt: &at,
		},
		Paged: []store.Person{bea},
	}
	const file = "testdata/created.json"
	encoded, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		var b bytes.Buffer
		if err := json.Indent(&b, encoded, "", "\t"); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, golden); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(compact.String(), string(encoded)); diff != "" {
		t.Errorf("stored form (-file +got):\n%s", diff)
	}
	got, err := decodeCreated(golden)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("read back, error %v (-want +got):\n%s", err, diff)
	}

	key, err := Create{
		Title: "t", Severity: "low", Description: "d", OwnerID: "bea", OwnerScheduleID: "s", EscalationPolicyID: "p", ComponentIDs: []string{"c"},
	}.key(Actor{UserID: "ann", OrgID: "acme"}, "k")
	if err != nil {
		t.Fatal(err)
	}
	const hash = "742c02f22b82d63c05c9fb3b7fdfd5e45cb5d82bd1f2adf66b4c5dd511a8f99a"
	if got := hex.EncodeToString(key.ArgumentsHash[:]); got != hash {
		t.Errorf("hash of the arguments: got %s, want %s", got, hash)
	}
}
