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

var update = flag.Bool("update", false, "rewrite testdata/*.json")

// TestWhatIsStoredKeepsItsForm: keys outlive a release by a day, so what one
// release stored the next must read. A new form of a file is a decision.
func TestWhatIsStoredKeepsItsForm(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC)
	id := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	bea := store.Person{ID: "bea", Name: "Bea", Email: "bea@example.com"}
	i := &store.Incident{
		ID: id(1), OrgID: "acme", SequentialID: 7, Title: "t", Description: "d",
		Severity: store.SeverityHigh, Status: store.StatusInvestigating, Owner: &bea, EscalationPolicyID: new(id(2)),
		AffectedComponents: []store.ComponentRef{{ID: id(3), Name: "API"}},
		AcknowledgedAt:     &at, CreatedBy: store.Actor{Person: store.Person{ID: "ann", Name: "Ann", Email: "ann@example.com"}, Via: new("Claude")},
		CreatedAt: at, UpdatedAt: at, ResolvedAt: &at,
	}
	steps := []store.StatusChange{{Status: store.StatusMonitoring, ChangedAt: at}, {Status: store.StatusResolved, ChangedAt: at, ResolutionNote: new("n")}}

	keepsItsForm(t, "created", &Created{Incident: i, Paged: []store.Person{bea}}, newStoredCreated, (*storedCreated).created)
	keepsItsForm(t, "acknowledged", &Acknowledged{Incident: i, Already: true}, newStoredAcknowledged, (*storedAcknowledged).acknowledged)
	keepsItsForm(t, "transitioned", &Transitioned{Incident: i, Changed: true}, newStoredTransitioned, (*storedTransitioned).transitioned)
	keepsItsForm(t, "resolved", &Resolved{Incident: i, Transitions: steps, Already: true}, newStoredResolved, (*storedResolved).resolved)
}

func keepsItsForm[T, S any](t *testing.T, name string, want *T, toStored func(*T) S, fromStored func(*S) *T) {
	t.Helper()
	file := "testdata/" + name + ".json"
	encoded, err := json.Marshal(toStored(want))
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
	var stored S
	if err := json.Unmarshal(golden, &stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromStored(&stored)); diff != "" {
		t.Errorf("%s read back (-want +got):\n%s", name, diff)
	}
}

// TestArgumentsKeepTheirHash: what one release took for the same call, the next
// does, too.
func TestArgumentsKeepTheirHash(t *testing.T) {
	for _, row := range []struct {
		name string
		mutation
		hash string
	}{
		{"create", Create{
			Title: "t", Severity: "low", Description: "d", OwnerID: "bea", OwnerScheduleID: "s", EscalationPolicyID: "p", ComponentIDs: []string{"c"},
		}.mutation(), "742c02f22b82d63c05c9fb3b7fdfd5e45cb5d82bd1f2adf66b4c5dd511a8f99a"},
		{"move", move("resolve_incident", "", storedMove{SequentialID: 7, Status: "resolved", ResolutionNote: "n"}), "c89d89d77edb8b9a1f306ad9f64e43591fad4a96124eca86169b9749399dd517"},
		{"move without what is optional", move("acknowledge_incident", "", storedMove{SequentialID: 7}), "796b02b8384fd6269e9db5b0e0d80461b2a47e1c02e38bcb87af98443e032270"},
	} {
		key, err := row.key(Actor{UserID: "ann", OrgID: "acme"}, "k")
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(key.ArgumentsHash[:]); got != row.hash {
			t.Errorf("%s: got %s, want %s", row.name, got, row.hash)
		}
	}
}
