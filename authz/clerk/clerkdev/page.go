package clerkdev

import (
	"bytes"
	_ "embed"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html
var pageSource string

// account is a person as the pages show them.
type account struct {
	Person
	Name  string
	Place string // "admin of Acme, member of Globex"
	Roles []membershipRow
}

type membershipRow struct {
	Organization Organization
	Role         string
	Other        string // the role to change to
}

// render writes the named template. The pages have no script.
func (s *Server) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		s.config.Log.Error("rendering page", "page", name, "err", err)
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the reader is gone; nobody to tell
}

// signInPage asks who is signing in. With only, it asks that person to go on
// (prompt=consent).
func (s *Server) signInPage(w http.ResponseWriter, status int, request *authorizeRequest, only *Person, message string) {
	accounts := s.accounts()
	if only != nil {
		accounts = slices.DeleteFunc(accounts, func(a account) bool { return a.ID != only.ID })
	}
	s.render(w, status, "sign-in", struct {
		Title    string
		Message  string
		Request  string
		Accounts []account
		Consent  bool
	}{"Sign in", message, request.raw, accounts, only != nil})
}

// errorPage refuses a request that may not be answered anywhere else.
func (s *Server) errorPage(w http.ResponseWriter, status int, message string) {
	s.render(w, status, "error", struct{ Title, Message string }{"This request cannot be answered", message})
}

// controlPage shows the directory with a button for every change.
func (s *Server) controlPage(w http.ResponseWriter, _ *http.Request) {
	accounts := s.accounts()
	s.mu.Lock()
	data := struct {
		Title         string
		Issuer        string
		Webhooks      string
		Accounts      []account
		Organizations []Organization
		History       []entry
		Failing       int
		FailStatus    int
	}{
		Title:         "Control",
		Issuer:        s.url,
		Webhooks:      s.config.WebhookURL,
		Accounts:      accounts,
		Organizations: slices.Clone(s.directory.Organizations),
		History:       slices.Clone(s.log),
		Failing:       s.outage.count,
		FailStatus:    s.outage.status,
	}
	s.mu.Unlock()
	s.render(w, http.StatusOK, "control", data)
}

// accounts is everybody, with their places.
func (s *Server) accounts() []account {
	s.mu.Lock()
	defer s.mu.Unlock()
	var accounts []account
	for _, p := range s.directory.People {
		a := account{Person: p, Name: p.name()}
		var places []string
		for _, m := range s.directory.Members {
			o := s.directory.organization(byOrganizationID(m.OrganizationID))
			if m.UserID != p.ID || o == nil {
				continue
			}
			row := membershipRow{Organization: *o, Role: m.Role, Other: RoleAdmin}
			if m.Role == RoleAdmin {
				row.Other = RoleMember
			}
			a.Roles = append(a.Roles, row)
			places = append(places, strings.TrimPrefix(m.Role, "org:")+" of "+o.Name)
		}
		a.Place = strings.Join(places, ", ")
		if a.Place == "" {
			a.Place = "no organization"
		}
		accounts = append(accounts, a)
	}
	return accounts
}
