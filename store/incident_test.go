package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func TestIncidentReadsBackWhatWasCreated(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	queue, api := createComponent(t, s, "acme", "Queue"), createComponent(t, s, "acme", "API")
	policy := commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return s.CreateEscalationPolicyTx(ctx, tx, "acme", store.EscalationPolicy{Name: "Primary"}, store.Change{UserID: "ann", At: noon})
	})
	bea, via := "bea", "Claude"
	title := strings.Repeat("é", 100) // characters, not bytes
	created := commit(t, s, func(ctx context.Context, tx pgx.Tx) (*store.Incident, error) {
		return s.CreateIncidentTx(ctx, tx, store.NewIncident{
			OrgID: "acme", Title: title, Description: "a\u202eb", Severity: store.SeverityLow, OwnerID: &bea,
			EscalationPolicyID: &policy, ComponentIDs: []uuid.UUID{queue, api},
		}, store.Change{UserID: "ann", Via: &via, At: noon})
	})

	ann := store.Actor{Person: store.Person{ID: "ann", Name: "Name of ann", Email: "ann@example.com"}, Via: &via}
	want := &store.IncidentDetails{
		Incident: store.Incident{
			ID: created.ID, OrgID: "acme", SequentialID: 1, Title: title, Description: "a\u202eb",
			Severity: store.SeverityLow, Status: store.StatusInvestigating,
			Owner:              &store.Person{ID: "bea", Name: "Name of bea", Email: "bea@example.com"},
			EscalationPolicyID: &policy, AffectedComponents: []store.ComponentRef{{ID: api, Name: "API"}, {ID: queue, Name: "Queue"}},
			CreatedBy: ann, CreatedAt: noon, UpdatedAt: noon,
		},
		StatusHistory: []store.StatusChange{{Status: store.StatusInvestigating, ChangedAt: noon}},
		Escalation:    store.Escalation{State: store.EscalationNone},
	}
	if diff := cmp.Diff(&want.Incident, created); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	got, err := s.Incident(t.Context(), "acme", 1)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("read back, error %v (-want +got):\n%s", err, diff)
	}
}

func TestHistoryAndEscalationAreToldInOrder(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	i := createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", noon)
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	via, note := "Claude", "Rolled back."
	commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]string, error) {
		p := store.LayerPage{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonIDs: []string{"bea", "ann"}, NextPageAt: minute(10)}
		return s.PageLayerTx(ctx, tx, p, minute(0))
	})
	for _, id := range []string{"bea", "ann"} {
		commit(t, s, func(ctx context.Context, tx pgx.Tx) (bool, error) {
			return s.EndPageTx(ctx, tx, store.Page{OrgID: "acme", IncidentID: i.ID, Layer: 1, PersonID: id}, store.PageSent, minute(0))
		})
	}
	commit(t, s, func(ctx context.Context, tx pgx.Tx) (any, error) {
		if err := s.AcknowledgeIncidentTx(ctx, tx, "acme", i.ID, store.Change{UserID: "bea", Via: &via, At: minute(1)}); err != nil {
			return nil, err
		}
		if _, err := s.PostUpdateTx(ctx, tx, "acme", i.ID, "Looking.", store.VisibilityInternal, store.Change{UserID: "bea", At: minute(2)}); err != nil {
			return nil, err
		}
		steps := store.IncidentStatuses()
		for n, to := range steps[1:] {
			if err := s.ChangeStatusTx(ctx, tx, "acme", i.ID, steps[n], to, &note, store.Change{UserID: "ann", At: minute(3 + n)}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})

	got, err := s.Incident(t.Context(), "acme", 1)
	if err != nil {
		t.Fatal(err)
	}
	wantHistory := []store.StatusChange{
		{Status: "investigating", ChangedAt: minute(0)}, {Status: "identified", ChangedAt: minute(3), ResolutionNote: &note},
		{Status: "monitoring", ChangedAt: minute(4), ResolutionNote: &note}, {Status: "resolved", ChangedAt: minute(5), ResolutionNote: &note},
	}
	if diff := cmp.Diff(wantHistory, got.StatusHistory); diff != "" {
		t.Errorf("status history (-want +got):\n%s", diff)
	}
	wantEscalation := store.Escalation{
		State: store.EscalationAcknowledged, Layer: new(1), AcknowledgedAt: new(minute(1)),
		AcknowledgedBy: &store.Actor{Person: store.Person{ID: "bea", Name: "Name of bea", Email: "bea@example.com"}, Via: &via},
	}
	if diff := cmp.Diff(wantEscalation, got.Escalation); diff != "" {
		t.Errorf("escalation (-want +got):\n%s", diff)
	}
	if got.Status != store.StatusResolved || got.ResolvedAt == nil || !got.ResolvedAt.Equal(minute(5)) || !got.UpdatedAt.Equal(minute(5)) {
		t.Errorf("after resolving: got status %s, resolved %v, updated %v", got.Status, got.ResolvedAt, got.UpdatedAt)
	}

	rows, err := s.Pool().Query(t.Context(), `
		SELECT type || COALESCE(' ' || status, '') || COALESCE(' by ' || actor_id, '') || COALESCE(' via ' || via, '')
		       || COALESCE(' layer ' || layer || ' ' || person_id, '')
		FROM incident_events WHERE org_id = 'acme' AND incident_id = $1 ORDER BY seq`, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"incident_created investigating by ann", "page_sent layer 1 bea", "page_sent layer 1 ann",
		"incident_acknowledged by bea via Claude", "update_posted by bea",
		"status_changed identified by ann", "status_changed monitoring by ann", "status_changed resolved by ann",
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAnIncidentIsChangedOnceAndNotAfterItIsResolved(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	i := createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", noon)
	by := store.Change{UserID: "ann", At: noon.Add(time.Minute)}
	change := func(orgID string, from, to store.IncidentStatus) func(context.Context, pgx.Tx) (any, error) {
		return func(ctx context.Context, tx pgx.Tx) (any, error) {
			return nil, s.ChangeStatusTx(ctx, tx, orgID, i.ID, from, to, nil, by)
		}
	}
	acknowledge := func(orgID string) func(context.Context, pgx.Tx) (any, error) {
		return func(ctx context.Context, tx pgx.Tx) (any, error) {
			return nil, s.AcknowledgeIncidentTx(ctx, tx, orgID, i.ID, by)
		}
	}
	post := func(orgID string) func(context.Context, pgx.Tx) (*store.Update, error) {
		return func(ctx context.Context, tx pgx.Tx) (*store.Update, error) {
			return s.PostUpdateTx(ctx, tx, orgID, i.ID, "Hello.", store.VisibilityInternal, by)
		}
	}
	refused(t, s, store.ErrConflict, change("globex", "investigating", "identified"))
	refused(t, s, store.ErrConflict, acknowledge("globex"))
	refused(t, s, store.ErrConflict, post("globex"))

	commit(t, s, acknowledge("acme"))
	refused(t, s, store.ErrConflict, acknowledge("acme"))
	commit(t, s, change("acme", "investigating", "resolved"))
	refused(t, s, store.ErrConflict, change("acme", "investigating", "resolved"))
	refused(t, s, store.ErrConflict, post("acme"))

	i = createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", noon)
	commit(t, s, change("acme", "investigating", "resolved"))
	refused(t, s, store.ErrConflict, acknowledge("acme"))
}

// TestACreationDoesNotWaitForeverForItsNumber: and what else its transaction
// does is not bounded by that.
func TestACreationDoesNotWaitForeverForItsNumber(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	create := func(ctx context.Context, tx pgx.Tx) (*store.Incident, error) {
		return s.CreateIncidentTx(ctx, tx, store.NewIncident{OrgID: "acme", Title: "t", Severity: store.SeverityLow},
			store.Change{UserID: "ann", At: noon})
	}
	commit(t, s, func(ctx context.Context, tx pgx.Tx) (any, error) {
		if _, err := create(ctx, tx); err != nil {
			return nil, err
		}
		var timeout string
		if err := tx.QueryRow(ctx, `SELECT current_setting('lock_timeout')`).Scan(&timeout); err != nil || timeout != "0" {
			t.Errorf("lock_timeout after the creation: got %s %v, want none", timeout, err)
		}
		refused(t, s, store.ErrBusy, create) // while this one holds the counter
		return nil, nil
	})
	if i := commit(t, s, create); i.SequentialID != 2 {
		t.Errorf("the next number: got %d, want 2", i.SequentialID)
	}
}

func TestAPersonIsPagedOncePerLayer(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	i := createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", noon)
	page := func(layer int, people ...string) []string {
		return commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]string, error) {
			return s.PageLayerTx(ctx, tx, store.LayerPage{OrgID: "acme", IncidentID: i.ID, Layer: layer, PersonIDs: people, NextPageAt: noon.Add(time.Minute)}, noon)
		})
	}
	for n, row := range []struct {
		layer  int
		people []string
		want   []string
	}{
		{1, []string{"ann"}, []string{"ann"}},
		{1, []string{"ann", "bea"}, []string{"bea"}},
		{2, []string{"ann"}, []string{"ann"}},
		{2, []string{"ann"}, nil},
	} {
		if got := page(row.layer, row.people...); !slices.Equal(got, row.want) {
			t.Errorf("page %d: got %v, want %v", n, got, row.want)
		}
	}
	commit(t, s, func(ctx context.Context, tx pgx.Tx) (any, error) {
		return nil, s.ExhaustEscalationTx(ctx, tx, "acme", i.ID, noon)
	})
	got, err := s.Incident(t.Context(), "acme", 1)
	if err != nil || got.Escalation.State != store.EscalationExhausted || *got.Escalation.Layer != 2 {
		t.Errorf("after the last layer: got %+v %v, want exhausted at layer 2", got, err)
	}
}

func TestSequentialIDsHaveNoGapsUnderRaceAndFailure(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	createIncident(t, s, store.NewIncident{OrgID: "globex"}, "gus", noon)

	const good, bad = 32, 16
	errChangedMind := errors.New("changed my mind")
	numbers := make([]int, good)
	var wg sync.WaitGroup
	for n := range good + bad {
		wg.Go(func() {
			i, err := inTx(t.Context(), s, func(ctx context.Context, tx pgx.Tx) (*store.Incident, error) {
				i, err := s.CreateIncidentTx(ctx, tx, store.NewIncident{OrgID: "acme", Title: "t", Severity: store.SeverityLow},
					store.Change{UserID: "ann", At: noon.Add(time.Duration(n%7) * time.Second)})
				if n >= good && err == nil {
					err = errChangedMind
				}
				return i, err
			})
			if n < good && err != nil {
				t.Error(err)
			} else if n < good {
				numbers[n] = i.SequentialID
			} else if !errors.Is(err, errChangedMind) {
				t.Errorf("failing call: got %v, want %v", err, errChangedMind)
			}
		})
	}
	wg.Wait()
	slices.Sort(numbers)
	for n, got := range numbers {
		if got != n+1 {
			t.Fatalf("sequential ids: got %v, want 1 to %d", numbers, good)
		}
	}
	list, err := s.Incidents(t.Context(), "acme", store.IncidentQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for n, i := range list {
		if want := good - n; i.SequentialID != want {
			t.Fatalf("place %d of the list: got number %d, want %d", n, i.SequentialID, want)
		}
		if n > 0 && i.CreatedAt.After(list[n-1].CreatedAt) {
			t.Errorf("number %d was created after number %d", i.SequentialID, list[n-1].SequentialID)
		}
	}
}

func TestAnotherOrganizationsRowsAreNotThere(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	createIncident(t, s, store.NewIncident{OrgID: "acme"}, "ann", noon)
	foreign := createComponent(t, s, "acme", "API")

	if _, err := s.Incident(t.Context(), "globex", 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("reading acme's incident as globex: got %v, want not found", err)
	}
	if got, err := s.Incidents(t.Context(), "globex", store.IncidentQuery{Limit: 10}); err != nil || len(got) != 0 {
		t.Errorf("listing as globex: got %v %v, want none", got, err)
	}
	refused(t, s, store.ErrNotFound, func(ctx context.Context, tx pgx.Tx) (*store.Incident, error) {
		return s.CreateIncidentTx(ctx, tx, store.NewIncident{
			OrgID: "globex", Title: "t", Severity: store.SeverityLow, ComponentIDs: []uuid.UUID{foreign},
		}, store.Change{UserID: "gus", At: noon})
	})
	if _, err := s.Incident(t.Context(), "globex", 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a refused incident: got %v, want not found", err)
	}
}

func TestAnIncidentIsFoundByIDInTheOrganizationsGivenAlone(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	createIncident(t, s, store.NewIncident{OrgID: "globex"}, "gus", noon)
	i := createIncident(t, s, store.NewIncident{OrgID: "acme", Description: "d"}, "ann", noon)
	want, err := s.Incident(t.Context(), "acme", 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.IncidentByID(t.Context(), []string{"globex", "acme"}, i.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-by number +by id):\n%s", err, diff)
	}
	for name, row := range map[string]struct {
		orgIDs []string
		id     uuid.UUID
	}{
		"another organization": {[]string{"globex"}, i.ID},
		"no organization":      {nil, i.ID},
		"another id":           {[]string{"globex", "acme"}, uuid.Must(uuid.NewV7())},
	} {
		if got, err := s.IncidentByID(t.Context(), row.orgIDs, row.id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v %v, want not found", name, got, err)
		}
	}
}

func TestListFiltersByStatusSeverityAndTime(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	hour := func(n int) *time.Time { return new(noon.Add(time.Duration(n) * time.Hour)) }
	for n, severity := range []store.Severity{"low", "high", "low", "critical"} {
		createIncident(t, s, store.NewIncident{OrgID: "acme", Severity: severity, Description: "long"}, "ann", *hour(n))
	}
	i, err := s.Incident(t.Context(), "acme", 3)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, func(ctx context.Context, tx pgx.Tx) (any, error) {
		return nil, s.ChangeStatusTx(ctx, tx, "acme", i.ID, "investigating", "identified", nil, store.Change{UserID: "ann", At: *hour(5)})
	})
	for name, row := range map[string]struct {
		query store.IncidentQuery
		want  []int
	}{
		"everything":          {store.IncidentQuery{Limit: 9}, []int{4, 3, 2, 1}},
		"limit":               {store.IncidentQuery{Limit: 2}, []int{4, 3}},
		"status":              {store.IncidentQuery{Limit: 9, Status: new(store.StatusIdentified)}, []int{3}},
		"severity":            {store.IncidentQuery{Limit: 9, Severity: new(store.SeverityLow)}, []int{3, 1}},
		"status and severity": {store.IncidentQuery{Limit: 9, Status: new(store.StatusInvestigating), Severity: new(store.SeverityLow)}, []int{1}},
		"from is included":    {store.IncidentQuery{Limit: 9, From: hour(2)}, []int{4, 3}},
		"before is not":       {store.IncidentQuery{Limit: 9, Before: hour(2)}, []int{2, 1}},
		"after a place":       {store.IncidentQuery{Limit: 9, After: &store.IncidentPosition{CreatedAt: *hour(2), SequentialID: 3}}, []int{2, 1}},
		"none":                {store.IncidentQuery{Limit: 9, From: hour(9)}, nil},
	} {
		list, err := s.Incidents(t.Context(), "acme", row.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, i := range list {
			got = append(got, i.SequentialID)
			if i.Description != "" {
				t.Errorf("%s: the list holds a description", name)
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
}
