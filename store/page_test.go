package store_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// timeline returns the events of an incident with their times since noon, in
// order.
func timeline(t testing.TB, s *store.Store, id uuid.UUID) []string {
	t.Helper()
	rows, err := s.Pool().Query(t.Context(), `
		SELECT concat_ws(' ', extract(epoch FROM at - $2)::int || 's', type, layer, person_id)
		FROM incident_events WHERE incident_id = $1 ORDER BY seq`, id, noon)
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func pageLayer(t testing.TB, s *store.Store, p store.LayerPage, at time.Time) []string {
	t.Helper()
	return commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]string, error) { return s.PageLayerTx(ctx, tx, p, at) })
}

func endPage(t testing.TB, s *store.Store, p store.Page, outcome store.PageOutcome, at time.Time) bool {
	t.Helper()
	return commit(t, s, func(ctx context.Context, tx pgx.Tx) (bool, error) { return s.EndPageTx(ctx, tx, p, outcome, at) })
}

func TestAPageEndsOnceUnderRace(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	i := createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", noon)
	pageLayer(t, s, store.LayerPage{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonIDs: []string{"ann"}, NextPageAt: noon.Add(time.Minute)}, noon)
	p := store.Page{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonID: "ann"}
	ended := make([]bool, 8)
	var wg sync.WaitGroup
	for n := range ended {
		wg.Go(func() {
			outcome := []store.PageOutcome{store.PageSent, store.PageFailed}[n%2]
			ended[n] = endPage(t, s, p, outcome, noon.Add(time.Second))
		})
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(ended, func(did bool) bool { return !did })); n != 1 {
		t.Errorf("calls that ended the page: got %d of 8, want 1", n)
	}
	if events := timeline(t, s, i.ID); len(events) != 2 {
		t.Errorf("timeline: got %q, want the creation and one end of the page", events)
	}
	elsewhere := p
	elsewhere.OrgID = "globex"
	refused(t, s, store.ErrNotFound, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		return s.EndPageTx(ctx, tx, elsewhere, store.PageSent, noon)
	})
}

// TestPagingNeverGoesBackInTime: whatever a replica's clock says, times in a
// timeline stand in the order of its entries.
func TestPagingNeverGoesBackInTime(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea", "cem")
	second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	i := createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", second(10))
	page := store.LayerPage{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonIDs: []string{"ann", "bea", "cem"}, NextPageAt: second(70)}
	pageLayer(t, s, page, second(10))
	end := func(layer int, person string, outcome store.PageOutcome, at time.Time) {
		t.Helper()
		if !endPage(t, s, store.Page{OrgID: "acme", IncidentID: i.ID, Layer: layer, PersonID: person}, outcome, at) {
			t.Errorf("the page of %s by layer %d had ended before", person, layer)
		}
	}
	end(1, "ann", store.PageSent, second(12))
	end(1, "bea", store.PageFailed, second(11)) // a clock that is slow
	end(1, "cem", store.PageWithdrawn, second(12))
	page.Layer, page.Advanced, page.PersonIDs = 2, true, []string{"ann"}
	pageLayer(t, s, page, second(9))
	end(2, "ann", store.PageSent, second(13))
	commit(t, s, func(ctx context.Context, tx pgx.Tx) (any, error) {
		return nil, s.ExhaustEscalationTx(ctx, tx, "acme", i.ID, second(5))
	})
	want := []string{"10s incident_created", "12s page_sent 1 ann", "12s page_failed 1 bea", "12s escalation_advanced 2", "13s page_sent 2 ann", "13s escalation_exhausted"}
	if diff := cmp.Diff(want, timeline(t, s, i.ID)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
}

func TestPageDetailsSayWhetherAndWhomToPage(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	i := createIncident(t, s, store.NewIncident{OrgID: "acme", Title: "Down", Description: "Ünder"}, "ann", noon)
	next := noon.Add(time.Minute)
	pageLayer(t, s, store.LayerPage{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonIDs: []string{"bea"}, NextPageAt: next}, noon)
	p := store.Page{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonID: "bea"}
	want := store.PageDetails{
		Waited: true, Organization: "acme", SequentialID: 1, Title: "Down", Description: "Ünder", Severity: store.SeverityHigh,
		NextPageAt: &next, Name: "Name of bea", Email: "bea@example.com", Member: true,
	}
	expect := func(why string) {
		t.Helper()
		got, err := s.PageDetails(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", why, diff)
		}
	}
	expect("waiting")
	bea := store.User{ID: "bea", Name: "Bea", Email: "bea@example.com", EmailVerified: true}
	if _, err := s.SavePerson(t.Context(), bea, nil, noon.Add(time.Second), ""); err != nil {
		t.Fatal(err)
	}
	want.Name, want.Verified, want.Member = "Bea", true, false
	expect("after leaving")
	commit(t, s, func(ctx context.Context, tx pgx.Tx) (any, error) {
		return nil, s.AcknowledgeIncidentTx(ctx, tx, "acme", i.ID, store.Change{UserID: "ann", At: noon})
	})
	want.Waited, want.NextPageAt = false, nil
	expect("after the acknowledgment")
	endPage(t, s, p, store.PageWithdrawn, noon)
	want.Outcome = new(store.PageWithdrawn)
	expect("after its end")
	p.OrgID = "globex"
	if _, err := s.PageDetails(t.Context(), p); err != store.ErrNotFound {
		t.Errorf("of another organization: got %v, want not found", err)
	}
}
