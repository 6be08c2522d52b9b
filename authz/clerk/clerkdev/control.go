package clerkdev

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// command is a request to the control API: JSON, or a form of the control
// page. Which members count depends on the action.
type command struct {
	User         string `json:"user"`         // e-mail
	Organization string `json:"organization"` // slug
	Role         string `json:"role"`
	Status       int    `json:"status"`      // of /dev/fail
	Count        int    `json:"count"`       // of /dev/fail: how many requests; 0 ends it
	RetryAfter   int    `json:"retry_after"` // of /dev/fail: seconds; 0: no such header
	Webhook      *bool  `json:"webhook"`     // absent: true
}

// outcome is what the control API answers.
type outcome struct {
	OK       bool       `json:"ok"`
	Webhooks []delivery `json:"webhooks"`
}

// entry is a line of the control page's history.
type entry struct {
	At         time.Time
	What       string
	Deliveries []delivery
}

// historyLength is how many entries the control page keeps.
const historyLength = 20

// actions are those of the control API. Each changes the directory under the
// lock and returns the events that Clerk would send.
var actions = map[string]func(*Server, command) ([]event, error){
	"ban":                 func(s *Server, c command) ([]event, error) { return s.setBanned(c, true) },
	"unban":               func(s *Server, c command) ([]event, error) { return s.setBanned(c, false) },
	"delete-user":         (*Server).deleteUser,
	"revoke-sessions":     (*Server).revokeSessions,
	"role":                (*Server).setRole,
	"remove":              (*Server).removeMember,
	"add":                 (*Server).addMember,
	"delete-organization": (*Server).deleteOrganization,
	"fail":                (*Server).fail,
}

// control carries out one action. It answers when the receiver has answered
// the webhooks, so that a script may look at the effect at once.
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("action")
	action, ok := actions[name]
	if !ok {
		controlError(w, http.StatusNotFound, fmt.Errorf("no such action; there are %v", slices.Sorted(maps.Keys(actions))))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	c, fromPage, err := readCommand(r)
	if err != nil {
		controlError(w, http.StatusBadRequest, err)
		return
	}
	s.mu.Lock()
	events, err := action(s, c)
	s.mu.Unlock()
	if err != nil {
		controlError(w, http.StatusUnprocessableEntity, err)
		return
	}
	deliveries := []delivery{}
	if s.webhook != nil && (c.Webhook == nil || *c.Webhook) {
		for _, e := range events {
			deliveries = append(deliveries, s.webhook.send(r.Context(), e))
		}
	}
	s.record(name, c, deliveries)
	if fromPage {
		http.Redirect(w, r, "/dev", http.StatusSeeOther)
		return
	}
	writeJSON(w, http.StatusOK, outcome{OK: true, Webhooks: deliveries})
}

// readCommand reads a JSON object or a form of the control page. It goes by the
// first byte: curl -d calls everything a form.
func readCommand(r *http.Request) (c command, fromPage bool, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return c, false, err
	}
	if body = bytes.TrimSpace(body); bytes.HasPrefix(body, []byte("{")) {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return c, false, fmt.Errorf("the body is not such a JSON object: %w", err)
		}
		return c, false, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return c, true, fmt.Errorf("the body is neither a JSON object nor a form: %w", err)
	}
	c.User, c.Organization, c.Role = form.Get("user"), form.Get("organization"), form.Get("role")
	for name, to := range map[string]*int{"status": &c.Status, "count": &c.Count, "retry_after": &c.RetryAfter} {
		if text := form.Get(name); text != "" {
			if *to, err = strconv.Atoi(text); err != nil {
				return c, true, fmt.Errorf("%s must be a number", name)
			}
		}
	}
	return c, true, nil
}

func controlError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

func (s *Server) record(action string, c command, deliveries []delivery) {
	what := action
	for _, detail := range []string{c.User, c.Organization, c.Role} {
		if detail != "" {
			what += " " + detail
		}
	}
	if action == "fail" {
		what = fmt.Sprintf("fail the next %d Backend API requests with %d", c.Count, c.Status)
	}
	s.config.Log.Info("development Clerk changed", "action", what, "webhooks", len(deliveries))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append([]entry{{At: s.config.Now(), What: what, Deliveries: deliveries}}, s.log...)
	s.log = s.log[:min(len(s.log), historyLength)]
}

// event wraps data as Clerk does.
func (s *Server) event(kind string, data any) event {
	e := event{Object: "event", Type: kind, InstanceID: InstanceID, Timestamp: s.config.Now().UnixMilli(), Data: data}
	e.Attributes.HTTPRequest.ClientIP = "127.0.0.1"
	e.Attributes.HTTPRequest.UserAgent = "clerkdev"
	return e
}

// fail makes the next requests to the Backend API fail. Nothing is sent.
func (s *Server) fail(c command) ([]event, error) {
	if c.Count < 0 || c.RetryAfter < 0 {
		return nil, fmt.Errorf("count and retry_after must not be negative")
	}
	if c.Count > 0 && (c.Status < 400 || c.Status > 599) {
		return nil, fmt.Errorf("status must be between 400 and 599")
	}
	s.outage = outage{status: c.Status, count: c.Count, retryAfter: c.RetryAfter}
	return nil, nil
}

// setBanned bans a person, which ends their sessions at Clerk, or lifts it.
func (s *Server) setBanned(c command, banned bool) ([]event, error) {
	person, err := s.commandPerson(c)
	if err != nil {
		return nil, err
	}
	person.Banned = banned
	if banned {
		s.endSessions(person.ID)
	}
	return []event{s.event("user.updated", s.userObject(*person))}, nil
}

func (s *Server) deleteUser(c command) ([]event, error) {
	person, err := s.commandPerson(c)
	if err != nil {
		return nil, err
	}
	id := person.ID
	s.endSessions(id)
	s.directory.Members = slices.DeleteFunc(s.directory.Members, func(m Member) bool { return m.UserID == id })
	s.directory.People = slices.DeleteFunc(s.directory.People, byUserID(id))
	maps.DeleteFunc(s.revoked, func(_ string, one sessionObject) bool { return one.UserID == id })
	return []event{s.event("user.deleted", deletedObject{Object: "user", ID: id, Deleted: true})}, nil
}

// revokeSessions ends a person's sessions and says so for each. One of an
// earlier run is not known any more, so without any, one is still announced:
// the product's own session may be older than this run.
func (s *Server) revokeSessions(c command) ([]event, error) {
	person, err := s.commandPerson(c)
	if err != nil {
		return nil, err
	}
	ended := s.endSessions(person.ID)
	if len(ended) == 0 {
		one := s.newSession(person.ID)
		s.revoked[one.id] = s.sessionObject(one, "revoked")
		ended = append(ended, one)
	}
	var events []event
	for _, one := range ended {
		object, user := s.revoked[one.id], s.userObject(*person)
		object.User = &user
		events = append(events, s.event("session.revoked", object))
	}
	return events, nil
}

func (s *Server) setRole(c command) ([]event, error) {
	member, err := s.commandMember(c)
	if err != nil {
		return nil, err
	}
	if err := validRole(c.Role); err != nil {
		return nil, err
	}
	member.Role = c.Role
	return []event{s.event("organizationMembership.updated", s.membershipObject(*member))}, nil
}

func (s *Server) removeMember(c command) ([]event, error) {
	member, err := s.commandMember(c)
	if err != nil {
		return nil, err
	}
	gone := *member
	e := s.event("organizationMembership.deleted", s.membershipObject(gone))
	s.directory.Members = slices.DeleteFunc(s.directory.Members, func(m Member) bool { return m == gone })
	return []event{e}, nil
}

func (s *Server) addMember(c command) ([]event, error) {
	person, err := s.commandPerson(c)
	if err != nil {
		return nil, err
	}
	organization, err := s.commandOrganization(c)
	if err != nil {
		return nil, err
	}
	if c.Role == "" {
		c.Role = RoleMember
	}
	if err := validRole(c.Role); err != nil {
		return nil, err
	}
	if s.directory.member(organization.ID, person.ID) != nil {
		return nil, fmt.Errorf("%s is a member of %s already", c.User, c.Organization)
	}
	member := Member{OrganizationID: organization.ID, UserID: person.ID, Role: c.Role}
	s.directory.Members = append(s.directory.Members, member)
	return []event{s.event("organizationMembership.created", s.membershipObject(member))}, nil
}

func (s *Server) deleteOrganization(c command) ([]event, error) {
	organization, err := s.commandOrganization(c)
	if err != nil {
		return nil, err
	}
	gone := *organization
	s.directory.Members = slices.DeleteFunc(s.directory.Members, func(m Member) bool { return m.OrganizationID == gone.ID })
	s.directory.Organizations = slices.DeleteFunc(s.directory.Organizations, byOrganizationID(gone.ID))
	return []event{s.event("organization.deleted", deletedObject{Object: "organization", ID: gone.ID, Slug: gone.Slug, Deleted: true})}, nil
}

func validRole(role string) error {
	if role != RoleAdmin && role != RoleMember {
		return fmt.Errorf("role must be %s or %s", RoleAdmin, RoleMember)
	}
	return nil
}

func (s *Server) commandPerson(c command) (*Person, error) {
	if person := s.directory.person(byEmail(c.User)); person != nil {
		return person, nil
	}
	return nil, fmt.Errorf("user: nobody has the e-mail address %q", c.User)
}

func (s *Server) commandOrganization(c command) (*Organization, error) {
	if organization := s.directory.organization(bySlug(c.Organization)); organization != nil {
		return organization, nil
	}
	return nil, fmt.Errorf("organization: none has the slug %q", c.Organization)
}

func (s *Server) commandMember(c command) (*Member, error) {
	person, err := s.commandPerson(c)
	if err != nil {
		return nil, err
	}
	organization, err := s.commandOrganization(c)
	if err != nil {
		return nil, err
	}
	if member := s.directory.member(organization.ID, person.ID); member != nil {
		return member, nil
	}
	return nil, fmt.Errorf("%s is not a member of %s", c.User, c.Organization)
}

// endSessions signs a person out at Clerk everywhere, takes back what was
// issued for them, and returns the sessions that ended.
func (s *Server) endSessions(userID string) (ended []session) {
	for cookie, one := range s.sessions {
		if one.userID == userID {
			ended = append(ended, one)
			s.revoked[one.id] = s.sessionObject(one, "revoked")
			delete(s.sessions, cookie)
		}
	}
	for _, grants := range []map[string]grant{s.codes, s.access, s.refresh} {
		maps.DeleteFunc(grants, func(_ string, g grant) bool { return g.userID == userID })
	}
	return ended
}
