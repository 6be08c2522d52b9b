package incident_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

func TestWhoOwnsAnIncidentAndWhoIsPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	none := w.schedule("no policy targets it", "", []string{"cem"})
	primary := w.schedule("primary", "", []string{"bea", "ann"}, []string{"cem"}, []string{"bea"})
	overridden := w.schedule("overridden", "cem", []string{"bea"})
	empty := w.schedule("empty", "")
	left := w.schedule("somebody who left", "", []string{"gus"}, []string{"cem"})
	first := w.policy("first", primary, []string{"ann"})
	w.policy("overridden", overridden)
	people := w.policy("people", []string{"cem", "gus", "ann"})
	nobodyFirst := w.policy("empty first", empty, left, []string{"ann"})
	nobody := w.policy("nobody", []string{"gus"})
	noLayers := w.policy("no layers")

	for name, row := range map[string]struct {
		in     incident.Create
		owner  string
		policy string
		paged  []string
		state  store.EscalationState
		layer  int
	}{
		"nothing given pages nobody":                 {in: incident.Create{}, state: "none"},
		"an owner is not paged":                      {in: incident.Create{OwnerID: "bea"}, owner: "bea", state: "none"},
		"a schedule gives owner and policy":          {in: incident.Create{OwnerScheduleID: primary}, owner: "bea", policy: first, paged: []string{"bea", "cem"}, state: "paging", layer: 1},
		"the owner given wins, the policy stays":     {in: incident.Create{OwnerScheduleID: primary, OwnerID: "ann"}, owner: "ann", policy: first, paged: []string{"bea", "cem"}, state: "paging", layer: 1},
		"an override displaces the owner":            {in: incident.Create{OwnerScheduleID: overridden}, owner: "cem", paged: []string{"cem"}, state: "paging", layer: 1},
		"a schedule without a policy pages nobody":   {in: incident.Create{OwnerScheduleID: none}, owner: "cem", state: "none"},
		"the policy given wins over the schedule's":  {in: incident.Create{OwnerScheduleID: primary, EscalationPolicyID: people}, owner: "bea", policy: people, paged: []string{"cem", "ann"}, state: "paging", layer: 1},
		"a policy alone leaves no owner":             {in: incident.Create{EscalationPolicyID: people}, policy: people, paged: []string{"cem", "ann"}, state: "paging", layer: 1},
		"nobody on call is no owner":                 {in: incident.Create{OwnerScheduleID: empty}, policy: nobodyFirst, paged: []string{"cem"}, state: "paging", layer: 2},
		"who left does not own, the next layer does": {in: incident.Create{OwnerScheduleID: left}, policy: nobodyFirst, paged: []string{"cem"}, state: "paging", layer: 2},
		"a policy that reaches nobody is exhausted":  {in: incident.Create{EscalationPolicyID: nobody}, policy: nobody, state: "exhausted"},
		"a policy without layers is exhausted":       {in: incident.Create{EscalationPolicyID: noLayers}, policy: noLayers, state: "exhausted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{TB: t, Service: w.Service, store: w.store}
			got := w.create(row.in)
			owner := ""
			if got.Incident.Owner != nil {
				owner = got.Incident.Owner.ID
			}
			if owner != row.owner {
				t.Errorf("owner: got %q, want %q", owner, row.owner)
			}
			if row.policy != "" && (got.Incident.EscalationPolicyID == nil || got.Incident.EscalationPolicyID.String() != row.policy) {
				t.Errorf("policy: got %v, want %v", got.Incident.EscalationPolicyID, row.policy)
			}
			want := []store.Person{}
			for _, id := range row.paged {
				want = append(want, person(id))
			}
			if diff := cmp.Diff(want, got.Paged); diff != "" {
				t.Errorf("paged (-want +got):\n%s", diff)
			}
			details, err := w.Get(t.Context(), "acme", got.Incident.SequentialID)
			if err != nil {
				t.Fatal(err)
			}
			layer := 0
			if details.Escalation.Layer != nil {
				layer = *details.Escalation.Layer
			}
			if details.Escalation.State != row.state || layer != row.layer {
				t.Errorf("escalation: got %s at layer %d, want %s at layer %d", details.Escalation.State, layer, row.state, row.layer)
			}
			if diff := cmp.Diff(*got.Incident, details.Incident); diff != "" {
				t.Errorf("read back (-created +got):\n%s", diff)
			}
		})
	}
}

func TestACreatedIncidentIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	api, queue := w.component("acme", "API"), w.component("acme", "Queue")
	got := w.create(incident.Create{
		Title: " Checkout\u200b fails ", Severity: "critical", Description: "It does.", ComponentIDs: []string{strings.ToUpper(queue), api},
	}).Incident
	if got.Title != " Checkout\u200b fails " || got.Description != "It does." {
		t.Errorf("text: got %q and %q, want it as it was given", got.Title, got.Description)
	}
	if got.Severity != store.SeverityCritical || got.Status != store.StatusInvestigating || got.SequentialID != 1 {
		t.Errorf("got severity %s, status %s, number %d", got.Severity, got.Status, got.SequentialID)
	}
	if len(got.AffectedComponents) != 2 || got.AffectedComponents[0].Name != "API" {
		t.Errorf("components: got %v, want API and Queue", got.AffectedComponents)
	}
	if got.CreatedBy.Person != person("ann") || got.CreatedBy.Via == nil || *got.CreatedBy.Via != "Claude" {
		t.Errorf("created by: got %v, want ann via Claude", got.CreatedBy)
	}
	if url, want := w.URL(got), "https://mcp.example/incidents/"+got.ID.String(); url != want {
		t.Errorf("url: got %s, want %s", url, want)
	}

	dashboard := ann
	dashboard.ClientName = ""
	created, err := w.Create(t.Context(), dashboard, incident.Create{Title: "t", Severity: "low"}, "")
	if err != nil || created.Incident.CreatedBy.Via != nil {
		t.Errorf("created in the dashboard: got %v %v, want no client", created, err)
	}
}

func TestARefusalSaysWhatToDoAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	api, foreign := w.component("acme", "API \u202e"), w.component("globex", "API")
	schedule := w.schedule("primary", "", []string{"ann"})
	policy := w.policy("policy", schedule)
	gus := incident.Actor{UserID: "gus", OrgID: "globex"}
	long := strings.Repeat("é", 101)
	ok := func(change func(*incident.Create)) incident.Create {
		in := incident.Create{Title: "t", Severity: "low"}
		change(&in)
		return in
	}
	for name, row := range map[string]struct {
		actor incident.Actor
		in    incident.Create
		key   string
		code  string
		says  []string
		valid []string
	}{
		"everything wrong": {ann, incident.Create{Title: long, Severity: "sev1", Description: strings.Repeat("x", 10_001)}, "a b", "invalid_arguments",
			[]string{"title must be at most 100 characters, got 101.", `severity must be one of critical, high, medium, low, got "sev1".`, "description must be at most 10000", "idempotencyKey must be"},
			[]string{"critical", "high", "medium", "low"}},
		"title of spaces":        {ann, ok(func(c *incident.Create) { c.Title = " \t\n" }), "", "invalid_arguments", []string{"title"}, nil},
		"title with NUL":         {ann, ok(func(c *incident.Create) { c.Title = "a\x00b" }), "", "invalid_arguments", []string{"title"}, nil},
		"description not UTF-8":  {ann, ok(func(c *incident.Create) { c.Description = "\xff" }), "", "invalid_arguments", []string{"description"}, nil},
		"owner with NUL":         {ann, ok(func(c *incident.Create) { c.OwnerID = "\x00" }), "", "invalid_arguments", []string{"ownerId"}, nil},
		"key too long":           {ann, ok(func(c *incident.Create) {}), strings.Repeat("k", 256), "invalid_arguments", []string{"idempotencyKey"}, nil},
		"owner unknown":          {ann, ok(func(c *incident.Create) { c.OwnerID = "nobody" }), "", "not_found", []string{"ownerId", "nobody"}, nil},
		"owner elsewhere":        {ann, ok(func(c *incident.Create) { c.OwnerID = "gus" }), "k", "not_found", []string{"ownerId"}, nil},
		"schedule no UUID":       {ann, ok(func(c *incident.Create) { c.OwnerScheduleID = "primary\x00" }), "", "not_found", []string{"ownerScheduleId"}, nil},
		"schedule unknown":       {ann, ok(func(c *incident.Create) { c.OwnerScheduleID = policy }), "", "not_found", []string{"ownerScheduleId"}, nil},
		"schedule elsewhere":     {gus, ok(func(c *incident.Create) { c.OwnerScheduleID = schedule }), "", "not_found", []string{"ownerScheduleId"}, nil},
		"policy no UUID":         {ann, ok(func(c *incident.Create) { c.EscalationPolicyID = "default" }), "", "not_found", []string{"escalationPolicyId"}, nil},
		"policy unknown":         {ann, ok(func(c *incident.Create) { c.EscalationPolicyID = schedule }), "", "not_found", []string{"escalationPolicyId"}, nil},
		"policy elsewhere":       {gus, ok(func(c *incident.Create) { c.EscalationPolicyID = policy }), "k", "not_found", []string{"escalationPolicyId"}, nil},
		"component twice":        {ann, ok(func(c *incident.Create) { c.ComponentIDs = []string{api, strings.ToUpper(api)} }), "", "duplicate_component_id", []string{"componentIds"}, nil},
		"component elsewhere":    {ann, ok(func(c *incident.Create) { c.ComponentIDs = []string{api, foreign} }), "k", "invalid_component_id", []string{foreign}, []string{api}},
		"too many components":    {ann, ok(func(c *incident.Create) { c.ComponentIDs = slices.Repeat([]string{api}, 101) }), "", "invalid_arguments", []string{"componentIds must name at most 100 components, got 101."}, nil},
		"many unknown":           {ann, ok(func(c *incident.Create) { c.ComponentIDs = slices.Repeat([]string{"x"}, 100) }), "", "invalid_component_id", []string{`"x", and 90 more.`}, []string{api}},
		"components no UUIDs":    {ann, ok(func(c *incident.Create) { c.ComponentIDs = []string{"API", "\x00"} }), "", "invalid_component_id", []string{`"API", "\x00"`}, []string{api}},
		"component of elsewhere": {gus, ok(func(c *incident.Create) { c.ComponentIDs = []string{foreign, api} }), "", "invalid_component_id", []string{api}, []string{foreign}},
	} {
		_, err := w.Create(t.Context(), row.actor, row.in, row.key)
		refusal := refusedAs(t, err, row.code)
		for _, part := range row.says {
			if !strings.Contains(refusal.Message, part) {
				t.Errorf("%s: got %q, want it to say %q", name, refusal.Message, part)
			}
		}
		if strings.Contains(refusal.Message, "API \u202e") || strings.Contains(refusal.Message, `API \u202e`) {
			t.Errorf("%s: the sentence holds a component's name, which anybody may have written: %q", name, refusal.Message)
		}
		if !slices.Equal(refusal.ValidValues, row.valid) {
			t.Errorf("%s: valid values: got %v, want %v", name, refusal.ValidValues, row.valid)
		}
	}
	for _, table := range []string{"incidents", "incident_counters", "incident_events", "pages", "idempotency_keys", "river_job"} {
		var n int
		if err := w.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s after refusals: got %d rows %v, want none", table, n, err)
		}
	}
}

// TestACreationThatWaitsTooLongLeavesNothing: whatever holds the organization's
// counter holds no connection of the pool beside its own for long.
func TestACreationThatWaitsTooLongLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(incident.Create{})
	tx, err := w.store.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `SELECT * FROM incident_counters WHERE org_id = 'acme' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	in := incident.Create{Title: "t", Severity: "low"}
	_, err = w.Create(t.Context(), ann, in, "key")
	refusedAs(t, err, "unavailable")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := w.List(t.Context(), "acme", incident.ListQuery{})
	if err != nil || len(page.Incidents) != 1 {
		t.Errorf("after the refusal: got %v %v, want the one incident of before", numbers(page), err)
	}
	again, err := w.Create(t.Context(), ann, in, "key")
	if err != nil || again.Replayed || again.Incident.SequentialID != 2 {
		t.Errorf("the same call again: got %+v %v, want incident 2", again, err)
	}
}

// TestSkippedLayersAreInTheTimeline: whoever reads it sees why the first layer
// was not paged.
func TestSkippedLayersAreInTheTimeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	nobody := w.schedule("nobody", "")
	for _, row := range []struct {
		policy string
		want   []string
	}{
		{w.policy("first", []string{"bea"}), []string{"incident_created"}},
		{w.policy("second", nobody, []string{"bea"}), []string{"incident_created", "escalation_advanced 2"}},
		{w.policy("none", nobody), []string{"incident_created", "escalation_exhausted"}},
	} {
		created := w.create(incident.Create{EscalationPolicyID: row.policy})
		rows, err := w.store.Pool().Query(t.Context(), `
			SELECT type || COALESCE(' ' || layer, '') FROM incident_events WHERE incident_id = $1 ORDER BY seq`, created.Incident.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
	}
}

func TestEightParallelCreatesWithOneKeyMakeOneIncident(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	policy := w.policy("policy", []string{"bea", "cem"})
	in := incident.Create{Title: "t", Severity: "low", EscalationPolicyID: policy}
	answers := make([]*incident.Created, 8)
	var wg sync.WaitGroup
	for n := range answers {
		wg.Go(func() {
			var err error
			if answers[n], err = w.Create(t.Context(), ann, in, "key"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	originals := 0
	for n, a := range answers {
		if !a.Replayed {
			originals++
		}
		a.Replayed = false
		if diff := cmp.Diff(answers[0], a); diff != "" {
			t.Errorf("answer %d differs from the first (-first +got):\n%s", n, diff)
		}
	}
	if originals != 1 {
		t.Errorf("answers that are not replays: got %d, want 1", originals)
	}
	page, err := w.List(t.Context(), "acme", incident.ListQuery{})
	if err != nil || len(page.Incidents) != 1 {
		t.Errorf("incidents: got %v %v, want one", page, err)
	}
	var pages int
	err = w.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'page'`).Scan(&pages)
	if err != nil || pages != 2 {
		t.Errorf("pages queued: got %d %v, want one to each of two people", pages, err)
	}
}

func TestAKeyIsComparedByItsArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	create := func(in incident.Create) (*incident.Created, error) {
		return w.Create(t.Context(), ann, in, "key")
	}
	first, err := create(incident.Create{Title: "t", Severity: "low"})
	if err != nil {
		t.Fatal(err)
	}
	same, err := create(incident.Create{Title: "t", Severity: "low", ComponentIDs: []string{}})
	if err != nil || !same.Replayed || same.Incident.ID != first.Incident.ID {
		t.Errorf("an empty list instead of none: got %+v %v, want a replay", same, err)
	}
	_, err = create(incident.Create{Title: "T", Severity: "low"})
	refusedAs(t, err, "idempotency_key_reused")

	other, err := w.Create(t.Context(), incident.Actor{UserID: "bea", OrgID: "acme"}, incident.Create{Title: "T", Severity: "low"}, "key")
	if err != nil || other.Replayed {
		t.Errorf("another person's key: got %+v %v, want an incident of its own", other, err)
	}
}

func TestAReplayOutlivesWhatHappenedSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	in := incident.Create{Title: "t", Severity: "low", OwnerID: "bea"}
	first, err := w.Create(t.Context(), ann, in, "key")
	if err != nil {
		t.Fatal(err)
	}
	bea := store.User{ID: "bea", Name: "Name of bea", Email: "bea@example.com"}
	if _, err := w.store.SavePerson(t.Context(), bea, nil, noon.Add(time.Second), ""); err != nil {
		t.Fatal(err)
	}
	again, err := w.Create(t.Context(), ann, in, "key")
	if err != nil || !again.Replayed {
		t.Fatalf("replay: got %v %v", again, err)
	}
	if diff := cmp.Diff(first.Incident, again.Incident); diff != "" {
		t.Errorf("replay (-first +got):\n%s", diff)
	}
	_, err = w.Create(t.Context(), ann, in, "")
	refusedAs(t, err, "not_found")
}
