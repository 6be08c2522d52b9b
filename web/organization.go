package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"scaling.cloud/mcp/store"
)

// membershipPatience is how long a page waits for Clerk. One's own connections
// are shown without its answer.
const membershipPatience = 3 * time.Second

// memberOf returns the organizations that a person belongs to now. An error
// means that it is not known.
func (s *Server) memberOf(ctx context.Context, userID string) ([]store.Membership, error) {
	ctx, cancel := context.WithTimeout(ctx, membershipPatience)
	defer cancel()
	return s.memberships.Memberships(ctx, userID)
}

// administered returns those of them that a person administers now. An error
// means that it is not known.
func (s *Server) administered(ctx context.Context, userID string) ([]store.Organization, error) {
	memberships, err := s.memberOf(ctx, userID)
	if err != nil {
		return nil, err
	}
	var orgs []store.Organization
	for _, m := range memberships {
		if m.Admin() {
			orgs = append(orgs, m.Organization)
		}
	}
	return orgs, nil
}

// chooseOrg returns the one of a person's administered organizations that
// ?org=<slug> names, or the first of them if it names none. For any other
// organization it returns store.ErrNotFound, whether there is such a one or not.
func chooseOrg(administered []store.Organization, slug string) (*store.Organization, error) {
	i := 0
	if slug != "" {
		i = slices.IndexFunc(administered, func(o store.Organization) bool { return o.Slug == slug })
	}
	if i < 0 || len(administered) == 0 {
		return nil, store.ErrNotFound
	}
	return &administered[i], nil
}

// administeredOrg returns the organization that the request names, if the person
// administers it now, else store.ErrNotFound.
func (s *Server) administeredOrg(r *http.Request, userID string) (*store.Organization, error) {
	administered, err := s.administered(r.Context(), userID)
	if err != nil {
		return nil, clerkAway(forAdministrators, err)
	}
	return chooseOrg(administered, r.FormValue("org"))
}

// clerkAway is the answer to a page while it cannot be known whether the person is
// one of those that it is for.
func clerkAway(whose string, err error) error {
	return &failure{
		status:  http.StatusServiceUnavailable,
		title:   "Your membership cannot be checked right now",
		message: whose + ", and the service that knows them does not answer. Please try again in a minute.",
		err:     err,
	}
}

// What a page is for that clerkAway keeps from everybody.
const (
	forAdministrators = "This page is for the administrators of an organization"
	forMembers        = "This page is for the members of an organization"
)

func ids(orgs []store.Organization) []string {
	ids := make([]string, len(orgs))
	for i, org := range orgs {
		ids[i] = org.ID
	}
	return ids
}
