package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

const policyPath = "/settings/policy"

// policyView is Settings → Policy, for the administrators of an organization:
// the form, or with effect set what its values would do.
type policyView struct {
	page         ui.PageData
	org          store.Organization
	administered []store.Organization
	stored       *store.Policy
	form         policyForm
	problems     policyProblems
	effect       *store.PolicyEffect // of form; nil while it is not asked
	clients      []*store.OrgClient  // that are or were connected
	blocks       []*store.ClientBlock
	saved        bool // the viewer has just changed the policy
	ended        int  // connections that this ended
	stale        bool // the policy has changed since the form was shown
	now          time.Time
}

// policyForm is what a person chose, as they wrote it.
type policyForm struct {
	clients, maxAge, publicUpdates string
	allowed                        []string
	readOnly                       bool
	version                        int
}

// policyProblems are sentences about fields; empty where nothing is wrong.
type policyProblems struct{ clients, maxAge, publicUpdates string }

// policy shows the policy of an organization to its administrators. To everybody
// else there is no such page.
func (s *Server) policy(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	v, err := s.policyView(r, session)
	if err != nil {
		return err
	}
	v.form = formOf(v.stored)
	// The query only points: that the viewer did it is in the store.
	v.saved = r.URL.Query().Get("saved") == strconv.Itoa(v.stored.Version) && v.stored.UpdatedBy != nil && *v.stored.UpdatedBy == session.UserID
	if v.saved {
		if v.ended, err = s.store.EndedByPolicy(r.Context(), v.org.ID, session.UserID, *v.stored.UpdatedAt); err != nil {
			return err
		}
	}
	return render(r.Context(), w, policyPage(*v))
}

// savePolicy takes the form, which comes twice: from the page, to be answered with
// what it would do, and confirmed, to be saved.
func (s *Server) savePolicy(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	v, err := s.policyView(r, session)
	if err != nil {
		return err
	}
	v.form = readPolicyForm(r.PostForm)
	wanted, problems := v.form.policy(v.listable())
	if problems != (policyProblems{}) {
		v.problems = problems
		return renderStatus(r.Context(), w, http.StatusUnprocessableEntity, policyPage(*v))
	}
	if v.form.version != v.stored.Version {
		return s.stalePolicy(w, r, v)
	}
	if r.PostForm.Get("confirm") == "" {
		if v.effect, err = s.store.PolicyEffect(r.Context(), v.org.ID, wanted, v.now); err != nil {
			return err
		}
		return render(r.Context(), w, confirmPolicyPage(*v))
	}
	revoked, err := s.store.ChangePolicy(r.Context(), store.PolicyChange{
		OrgID: v.org.ID, By: session.UserID, Policy: wanted, RequestID: w.Header().Get("X-Request-Id"),
	}, v.now)
	if errors.Is(err, store.ErrConflict) {
		if v.stored, err = s.store.Policy(r.Context(), v.org.ID); err != nil {
			return err
		}
		return s.stalePolicy(w, r, v)
	}
	if err != nil {
		return err
	}
	if len(revoked) > 0 {
		s.revocations.Publish(r.Context(), revoked...)
	}
	http.Redirect(w, r, policyURL(v.org)+"&saved="+strconv.Itoa(wanted.Version+1), http.StatusSeeOther)
	return nil
}

// stalePolicy shows the policy as it is now: somebody else was first, and what
// the person chose was chosen over another one.
func (s *Server) stalePolicy(w http.ResponseWriter, r *http.Request, v *policyView) error {
	v.stale, v.form = true, formOf(v.stored)
	return renderStatus(r.Context(), w, http.StatusConflict, policyPage(*v))
}

// policyView reads what every page of a policy shows, for an administrator of
// the organization that ?org= names.
func (s *Server) policyView(r *http.Request, session *store.Session) (*policyView, error) {
	ctx := r.Context()
	administered, err := s.administered(ctx, session.UserID)
	if err != nil {
		return nil, clerkAway(forAdministrators, err)
	}
	org, err := chooseOrg(administered, r.FormValue("org"))
	if err != nil {
		return nil, err
	}
	v := &policyView{
		page: ui.PageData{Title: "Policy", Current: policyPath, Account: account(session)},
		org:  *org, administered: administered, now: s.now(),
	}
	if v.stored, err = s.store.Policy(ctx, org.ID); err != nil {
		return nil, err
	}
	if v.clients, err = s.store.OrgClients(ctx, org.ID, v.now); err != nil {
		return nil, err
	}
	// Who is on the list without ever having been connected stays choosable.
	for _, identity := range v.stored.AllowedClients {
		if !slices.ContainsFunc(v.clients, func(c *store.OrgClient) bool { return c.ClientIdentity == identity }) {
			v.clients = append(v.clients, &store.OrgClient{ClientIdentity: identity, ClientName: identity})
		}
	}
	v.blocks, err = s.store.ClientBlocks(ctx, org.ID)
	return v, err
}

// listable are the identities that can be on the list.
func (v *policyView) listable() []string {
	identities := make([]string, len(v.clients))
	for i, c := range v.clients {
		identities[i] = c.ClientIdentity
	}
	return identities
}

func formOf(p *store.Policy) policyForm {
	f := policyForm{clients: string(p.Clients), publicUpdates: string(p.PublicUpdates), allowed: p.AllowedClients, readOnly: p.ReadOnly, version: p.Version}
	if p.MaxAgeDays != nil {
		f.maxAge = strconv.Itoa(*p.MaxAgeDays)
	}
	return f
}

func readPolicyForm(values url.Values) policyForm {
	version, err := strconv.Atoi(values.Get("version"))
	if err != nil {
		version = -1 // of no policy: the form is stale
	}
	return policyForm{
		clients: values.Get("clients"), maxAge: strings.TrimSpace(values.Get("max_age_days")), publicUpdates: values.Get("public_updates"),
		allowed: values["client"], readOnly: values.Get("read_only") != "", version: version,
	}
}

// policy returns what the form says, or what is wrong with it. listable are the
// identities that it may name.
func (f policyForm) policy(listable []string) (p store.Policy, problems policyProblems) {
	p = store.Policy{
		Clients: store.AdmittedClients(f.clients), AllowedClients: f.allowed,
		PublicUpdates: store.PublicUpdates(f.publicUpdates), ReadOnly: f.readOnly, Version: f.version,
	}
	if !slices.ContainsFunc(clientChoices(), func(c radio) bool { return c.value == f.clients }) {
		problems.clients = "Choose which clients may connect."
	}
	if slices.ContainsFunc(f.allowed, func(identity string) bool { return !slices.Contains(listable, identity) }) {
		problems.clients = "One of the clients that you ticked has never been connected here. Tick clients of this list."
	}
	if p.Clients == store.ClientsOnList && len(f.allowed) == 0 {
		problems.clients = "Tick at least one client, or nobody can connect at all."
	}
	if f.maxAge != "" {
		days, err := strconv.Atoi(f.maxAge)
		if err != nil || days < store.PolicyMinAgeDays || days > store.PolicyMaxAgeDays {
			problems.maxAge = "Enter a whole number of days from 1 to 180, or leave it empty."
		}
		p.MaxAgeDays = &days
	}
	if !slices.ContainsFunc(publicUpdateChoices(), func(c radio) bool { return c.value == f.publicUpdates }) {
		problems.publicUpdates = "Choose what clients may do with public updates."
	}
	return p, problems
}

// radio is one of the values of a field, in words.
type radio struct{ value, words, detail string }

func clientChoices() []radio {
	return []radio{
		{string(store.ClientsAnyone), "Any client", "Members decide for themselves."},
		{string(store.ClientsVerified), "Verified clients only", "Clients whose maker we know by where they send people. Programs on somebody’s computer are never verified."},
		{string(store.ClientsOnList), "Only the clients ticked here", "An unverified client is known by its name and host alone, which others can copy."},
	}
}

func publicUpdateChoices() []radio {
	return []radio{
		{string(store.PublicUpdatesAllow), "Publish at once", "A client that may publish does so without asking."},
		{string(store.PublicUpdatesConfirmWhenPossible), "Ask the person where the client can", "Other clients publish without asking."},
		{string(store.PublicUpdatesConfirmAlways), "Always ask the person", "In the client, or on a page here."},
		{string(store.PublicUpdatesNever), "Publish nothing", "Clients write for members only."},
	}
}

// words is what the choice with a value is called.
func words(choices []radio, value string) string {
	for _, c := range choices {
		if c.value == value {
			return c.words
		}
	}
	return value
}

// allowedNames are the names of the clients that the form ticks.
func (v policyView) allowedNames() string {
	var names []string
	for _, c := range v.clients {
		if slices.Contains(v.form.allowed, c.ClientIdentity) {
			names = append(names, c.ClientName)
		}
	}
	return strings.Join(names, ", ")
}

// consequence says what saving does to the connections that live now.
func (v policyView) consequence() string {
	var parts []string
	if e := v.effect; e.Ends > 0 {
		parts = append(parts, counted(e.Ends, "connection")+" of "+counted(e.People, "person")+" will end at once.")
	}
	if n := v.effect.Shortens; n > 0 {
		parts = append(parts, counted(n, "connection")+" will end earlier, at the new age.")
	}
	if parts == nil {
		return "No connection ends or is shortened."
	}
	return strings.Join(parts, " ")
}

func policyURL(org store.Organization) string {
	return policyPath + "?" + url.Values{"org": {org.Slug}}.Encode()
}
