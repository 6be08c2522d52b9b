package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/store"
)

// demoOrganization is what the dev command puts into an organization of the
// development Clerk (design §13). Rows refer to one another by name, and times
// count back from the first start, so that the newest incident is always fresh.
type demoOrganization struct {
	id         string
	founder    string // made the components, schedules and policies
	components []store.Component
	statusPage demoStatusPage
	schedules  []demoSchedule
	policies   []demoPolicy
	incidents  []demoIncident // oldest first
}

// demoStatusPage is a published status page.
type demoStatusPage struct {
	slug, name string
	components []string
	overrides  map[string]store.ComponentStatus
}

// demoSchedule is a schedule whose rotations began on a Monday at 09:00, half a
// year ago.
type demoSchedule struct {
	name, description, timezone string
	layers                      []demoLayer
	override                    *demoOverride
}

type demoLayer struct {
	name    string
	kind    store.RotationType
	days    int
	handoff string
	people  []string
}

// demoOverride stands for the given time around the first start.
type demoOverride struct {
	by            string
	since, lasted time.Duration
}

type demoPolicy struct {
	name, description string
	layers            []demoEscalation
}

// demoEscalation pages a schedule, by name, or people.
type demoEscalation struct {
	schedule string
	people   []string
	minutes  int
}

type demoIncident struct {
	ago         time.Duration
	severity    store.Severity
	title       string
	description string
	by, via     string // via is empty for the dashboard
	owner       string // empty: whoever is paged first, if anybody
	components  []string
	policy      string // pages its first layer
	then        []demoStep
}

// demoStep is one thing that happened: an acknowledgment by whoever was paged,
// where by is empty; else an update, a step of the lifecycle, or both. The first
// public update makes the incident public.
type demoStep struct {
	after   time.Duration // since the incident began
	by, via string
	says    string
	public  bool
	to      store.IncidentStatus
	note    string
}

// seedDemo puts the demo people, organizations and their data into an empty
// database. Where Acme has incidents already it does nothing: what somebody did
// to the demo data stays.
func seedDemo(ctx context.Context, s *store.Store, now time.Time) error {
	seeded, err := s.Incidents(ctx, clerkdev.AcmeID, store.IncidentQuery{Limit: 1})
	if err != nil || len(seeded) > 0 {
		return err
	}
	now = now.Truncate(time.Second)
	// It sets a timer and works none: the server does.
	log := slog.New(slog.DiscardHandler)
	pages := paging.New(paging.Config{Store: s, Queue: queue.New(s.Pool(), log), Mail: mail.Log{Logger: log}, Log: log, Now: time.Now})
	if err := seedPeople(ctx, s, now); err != nil {
		return err
	}
	// One transaction, so that a start that is interrupted leaves nothing that
	// the next one would take for the whole.
	err = pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
		for _, o := range []demoOrganization{demoAcme(), demoGlobex()} {
			d := demoSeed{
				store: s, paging: pages, tx: tx, orgID: o.id, founded: store.Change{UserID: o.founder, At: now.AddDate(0, 0, -190)},
				now: now, ids: map[string]uuid.UUID{},
			}
			if err := d.seed(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("demo data: %w", err)
	}
	return nil
}

// seedPeople stores what the development Clerk would say of everybody in its
// directory.
func seedPeople(ctx context.Context, s *store.Store, now time.Time) error {
	directory := clerkdev.Demo()
	organizations := map[string]store.Organization{}
	for _, o := range directory.Organizations {
		organizations[o.ID] = store.Organization{ID: o.ID, Slug: o.Slug, Name: o.Name}
	}
	for _, p := range directory.People {
		user := store.User{
			ID: p.ID, Name: strings.TrimSpace(p.FirstName + " " + p.LastName), Email: p.Email, EmailVerified: !p.EmailUnverified,
		}
		var memberships []store.Membership
		for _, m := range directory.Members {
			if m.UserID == p.ID {
				memberships = append(memberships, store.Membership{Organization: organizations[m.OrganizationID], Role: m.Role})
			}
		}
		if _, err := s.SavePerson(ctx, user, memberships, now, ""); err != nil {
			return err
		}
	}
	return nil
}

// demoSeed is the work on one organization.
type demoSeed struct {
	store   *store.Store
	paging  *paging.Service
	tx      pgx.Tx
	orgID   string
	founded store.Change
	now     time.Time
	ids     map[string]uuid.UUID // of components, schedules and policies, by kind and name
}

func (d demoSeed) seed(ctx context.Context, o demoOrganization) (err error) {
	for _, c := range o.components {
		if d.ids["component "+c.Name], err = d.store.CreateComponentTx(ctx, d.tx, d.orgID, c, d.founded.At); err != nil {
			return err
		}
	}
	if err := d.statusPage(ctx, o.statusPage); err != nil {
		return err
	}
	for _, sched := range o.schedules {
		if err := d.schedule(ctx, sched); err != nil {
			return err
		}
	}
	for _, p := range o.policies {
		if err := d.policy(ctx, p); err != nil {
			return err
		}
	}
	for _, i := range o.incidents {
		if err := d.incident(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", i.title, err)
		}
	}
	return nil
}

func (d demoSeed) statusPage(ctx context.Context, demo demoStatusPage) error {
	n := store.NewStatusPage{OrgID: d.orgID, Slug: demo.slug, Name: demo.name, Published: true}
	for _, name := range demo.components {
		n.ComponentIDs = append(n.ComponentIDs, d.ids["component "+name])
	}
	for name, status := range demo.overrides {
		if err := d.store.OverrideComponentStatusTx(ctx, d.tx, d.orgID, d.ids["component "+name], &status); err != nil {
			return err
		}
	}
	return d.store.CreateStatusPageTx(ctx, d.tx, n, d.founded.At)
}

func (d demoSeed) schedule(ctx context.Context, demo demoSchedule) error {
	loc, err := time.LoadLocation(demo.timezone)
	if err != nil {
		return err
	}
	began := d.now.In(loc).AddDate(0, 0, -182)
	monday := began.AddDate(0, 0, -(int(began.Weekday())+6)%7)
	s := store.Schedule{Name: demo.name, Description: demo.description, Timezone: demo.timezone}
	for _, l := range demo.layers {
		s.Layers = append(s.Layers, &store.ScheduleLayer{
			Name: l.name, RotationType: l.kind, RotationLengthDays: l.days, HandoffTime: l.handoff,
			EffectiveFrom:  time.Date(monday.Year(), monday.Month(), monday.Day(), 9, 0, 0, 0, loc),
			ParticipantIDs: l.people,
		})
	}
	if o := demo.override; o != nil {
		from := d.now.Add(-o.since).Truncate(time.Hour)
		s.Overrides = append(s.Overrides, &store.ScheduleOverride{UserID: o.by, StartsAt: from, EndsAt: from.Add(o.lasted)})
	}
	d.ids["schedule "+demo.name], err = d.store.CreateScheduleTx(ctx, d.tx, d.orgID, s, d.founded)
	return err
}

func (d demoSeed) policy(ctx context.Context, demo demoPolicy) (err error) {
	p := store.EscalationPolicy{Name: demo.name, Description: demo.description}
	for _, l := range demo.layers {
		layer := &store.EscalationLayer{AckTimeoutMinutes: l.minutes, UserIDs: l.people}
		if l.schedule != "" {
			layer.ScheduleID = new(d.ids["schedule "+l.schedule])
		}
		p.Layers = append(p.Layers, layer)
	}
	d.ids["policy "+demo.name], err = d.store.CreateEscalationPolicyTx(ctx, d.tx, d.orgID, p, d.founded)
	return err
}

func (d demoSeed) incident(ctx context.Context, demo demoIncident) error {
	began := d.now.Add(-demo.ago)
	n := store.NewIncident{OrgID: d.orgID, Title: demo.title, Description: demo.description, Severity: demo.severity}
	for _, name := range demo.components {
		n.ComponentIDs = append(n.ComponentIDs, d.ids["component "+name])
	}
	var onCall []string
	var due time.Time // of the next layer
	if demo.policy != "" {
		n.EscalationPolicyID = new(d.ids["policy "+demo.policy])
		var timeout time.Duration
		var err error
		if onCall, timeout, err = d.firstLayer(ctx, *n.EscalationPolicyID, began); err != nil {
			return err
		}
		due = began.Add(timeout)
		n.OwnerID = &onCall[0]
	}
	if demo.owner != "" {
		n.OwnerID = &demo.owner
	}
	i, err := d.store.CreateIncidentTx(ctx, d.tx, n, demoChange(demo.by, demo.via, began))
	if err != nil {
		return err
	}
	if len(onCall) > 0 {
		if err := d.page(ctx, i.ID, onCall, due, began); err != nil {
			return err
		}
	}
	status := i.Status
	for _, step := range demo.then {
		by := step.by
		if by == "" {
			by = onCall[0]
		}
		c := demoChange(by, step.via, began.Add(step.after))
		if err := d.step(ctx, i.ID, &status, step, c); err != nil {
			return err
		}
	}
	if due.After(d.now) && !slices.ContainsFunc(demo.then, func(s demoStep) bool { return s.by == "" }) {
		return d.paging.SetTimerTx(ctx, d.tx, d.orgID, i.ID, 1, due)
	}
	return nil
}

// page has the first layer paged, and the mails sent at once.
func (d demoSeed) page(ctx context.Context, id uuid.UUID, people []string, due, at time.Time) error {
	l := store.LayerPage{OrgID: d.orgID, IncidentID: id, Layer: 1, PersonIDs: people, NextPageAt: due}
	if _, err := d.store.PageLayerTx(ctx, d.tx, l, at); err != nil {
		return err
	}
	for _, person := range people {
		p := store.Page{OrgID: d.orgID, IncidentID: id, Layer: 1, PersonID: person}
		if _, err := d.store.EndPageTx(ctx, d.tx, p, store.PageSent, at); err != nil {
			return err
		}
	}
	return nil
}

func (d demoSeed) step(ctx context.Context, id uuid.UUID, status *store.IncidentStatus, step demoStep, c store.Change) error {
	if step.by == "" {
		return d.store.AcknowledgeIncidentTx(ctx, d.tx, d.orgID, id, c)
	}
	if step.says != "" {
		visibility := store.VisibilityInternal
		if step.public {
			visibility = store.VisibilityPublic
		}
		if _, err := d.store.PostUpdateTx(ctx, d.tx, d.orgID, id, step.says, visibility, c); err != nil {
			return err
		}
	}
	if step.to == "" {
		return nil
	}
	var note *string
	if step.note != "" {
		note = &step.note
	}
	err := d.store.ChangeStatusTx(ctx, d.tx, d.orgID, id, *status, step.to, note, c)
	*status = step.to
	return err
}

// firstLayer returns whom the first layer of a policy reached at an instant, and
// how long it waits for them; the demo's first layers are schedules, all with
// somebody on call.
func (d demoSeed) firstLayer(ctx context.Context, policyID uuid.UUID, at time.Time) (ids []string, timeout time.Duration, err error) {
	policy, err := d.store.EscalationPolicyTx(ctx, d.tx, d.orgID, policyID)
	if err != nil {
		return nil, 0, err
	}
	layer, err := d.paging.FirstTx(ctx, d.tx, d.orgID, policy, at)
	if err != nil {
		return nil, 0, err
	}
	for _, p := range layer.People {
		ids = append(ids, p.ID)
	}
	return ids, layer.AckTimeout, nil
}

// demoChange is who did something, in which client, and when.
func demoChange(by, via string, at time.Time) store.Change {
	c := store.Change{UserID: by, At: at}
	if via != "" {
		c.Via = &via
	}
	return c
}
