package clerkdev

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of Clerk's lists.
const (
	defaultLimit = 10
	maxLimit     = 500
)

// outage makes the next count requests to the Backend API fail.
type outage struct {
	status     int
	count      int
	retryAfter int // seconds; 0: no Retry-After
}

// backend serves the reads of the Backend API (version 2025-04-10) that the
// product makes, behind the secret key.
func (s *Server) backend() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users/{id}", s.user)
	mux.HandleFunc("GET /v1/users/{id}/organization_memberships", s.userMemberships)
	mux.HandleFunc("GET /v1/organizations/{id}", s.organization)
	mux.HandleFunc("GET /v1/organizations/{id}/memberships", s.organizationMemberships)
	mux.HandleFunc("GET /v1/sessions/{id}", s.session)
	mux.HandleFunc("GET /v1/jwks", s.jwks)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "resource_not_found", "not found", "The development Clerk does not serve "+r.Method+" "+r.URL.Path+".")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failure, ok := s.nextFailure(); ok {
			if failure.retryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(failure.retryAfter))
			}
			writeError(w, failure.status, "injected_failure", http.StatusText(failure.status), "Asked for at /dev/fail.")
			return
		}
		key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			writeError(w, http.StatusUnauthorized, "authorization_header_format_invalid", "Invalid Authorization header format", `The header must read "Bearer" and the secret key.`)
			return
		}
		if !same(key, s.config.SecretKey) {
			writeError(w, http.StatusUnauthorized, "clerk_key_invalid", "The provided Clerk Secret Key is invalid", "Make sure that the secret key is that of this instance.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) nextFailure() (outage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outage.count == 0 {
		return outage{}, false
	}
	s.outage.count--
	return s.outage, true
}

func (s *Server) user(w http.ResponseWriter, r *http.Request) {
	person, ok := s.findPerson(byUserID(r.PathValue("id")))
	if !ok {
		writeNotFound(w, "user", r.PathValue("id"))
		return
	}
	writeJSON(w, http.StatusOK, s.userObject(person))
}

func (s *Server) organization(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	found := s.directory.organization(byOrganizationID(r.PathValue("id")))
	var organization organizationObject
	if found != nil {
		organization = s.organizationObject(*found)
	}
	s.mu.Unlock()
	if found == nil {
		writeNotFound(w, "organization", r.PathValue("id"))
		return
	}
	writeJSON(w, http.StatusOK, organization)
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	object, found := s.revoked[id]
	for _, one := range s.sessions {
		if one.id == id {
			object, found = s.sessionObject(one, "active"), true
		}
	}
	s.mu.Unlock()
	if !found {
		writeNotFound(w, "session", id)
		return
	}
	writeJSON(w, http.StatusOK, object)
}

func (s *Server) userMemberships(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, ok := s.findPerson(byUserID(id)); !ok {
		writeNotFound(w, "user", id)
		return
	}
	s.listMemberships(w, r.URL.Query(), func(m Member) bool { return m.UserID == id })
}

func (s *Server) organizationMemberships(w http.ResponseWriter, r *http.Request) {
	id, q := r.PathValue("id"), r.URL.Query()
	s.mu.Lock()
	known := s.directory.organization(byOrganizationID(id)) != nil
	s.mu.Unlock()
	if !known {
		writeNotFound(w, "organization", id)
		return
	}
	s.listMemberships(w, q, func(m Member) bool {
		return m.OrganizationID == id &&
			(!q.Has("user_id") || slices.Contains(q["user_id"], m.UserID)) &&
			(!q.Has("role") || slices.Contains(q["role"], m.Role))
	})
}

// listMemberships answers with the page that q asks for of the members for
// whom in holds.
func (s *Server) listMemberships(w http.ResponseWriter, q url.Values, in func(Member) bool) {
	limit, offset, err := page(q)
	if err != nil {
		writeError(w, http.StatusUnprocessableEntity, "form_param_value_invalid", "is invalid", err.Error())
		return
	}
	s.mu.Lock()
	var all []Member
	for _, m := range s.directory.Members {
		if in(m) {
			all = append(all, m)
		}
	}
	first := min(offset, len(all))
	last := min(first+limit, len(all))
	data := []membershipObject{}
	for _, m := range all[first:last] {
		data = append(data, s.membershipObject(m))
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, struct {
		Data       []membershipObject `json:"data"`
		TotalCount int                `json:"total_count"`
	}{data, len(all)})
}

// page reads limit and offset.
func page(q url.Values) (limit, offset int, err error) {
	limit = defaultLimit
	if q.Has("limit") {
		if limit, err = strconv.Atoi(q.Get("limit")); err != nil || limit < 1 || limit > maxLimit {
			return 0, 0, fmt.Errorf("limit must be between 1 and %d", maxLimit)
		}
	}
	if q.Has("offset") {
		if offset, err = strconv.Atoi(q.Get("offset")); err != nil || offset < 0 {
			return 0, 0, fmt.Errorf("offset must not be negative")
		}
	}
	return limit, offset, nil
}

func writeNotFound(w http.ResponseWriter, kind, id string) {
	writeError(w, http.StatusNotFound, "resource_not_found", "not found", fmt.Sprintf("No %s was found with id %s", kind, id))
}

// writeError answers in Clerk's error shape.
func writeError(w http.ResponseWriter, status int, code, message, long string) {
	type problem struct {
		Message     string   `json:"message"`
		LongMessage string   `json:"long_message"`
		Code        string   `json:"code"`
		Meta        struct{} `json:"meta"`
	}
	trace := newID("")
	w.Header().Set("Clerk-Trace-Id", trace)
	writeJSON(w, status, struct {
		Errors  []problem `json:"errors"`
		TraceID string    `json:"clerk_trace_id"`
	}{[]problem{{Message: message, LongMessage: long, Code: code}}, trace})
}
