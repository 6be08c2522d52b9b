package web

import (
	"errors"
	"net/http"
	"net/url"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// blockView is the page that asks whether to block a client for an organization.
type blockView struct {
	page   ui.PageData
	org    store.Organization
	client *store.OrgClient
}

// confirmBlock tells an administrator what blocking a client would end.
func (s *Server) confirmBlock(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	org, err := s.administeredOrg(r, session.UserID)
	if err != nil {
		return err
	}
	c, err := s.store.OrgClient(r.Context(), org.ID, r.FormValue("client"), s.now())
	if err != nil {
		return err
	}
	return render(r.Context(), w, blockPage(blockView{
		page: ui.PageData{Title: "Block " + c.ClientName, Current: policyPath, Account: account(session)},
		org:  *org, client: c,
	}))
}

// block blocks a client and ends its connections. If it is blocked already, by
// somebody who was first, the page of the policy says so all the same.
func (s *Server) block(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	org, err := s.administeredOrg(r, session.UserID)
	if err != nil {
		return err
	}
	revoked, err := s.store.BlockClient(r.Context(), s.blockChange(w, r, org, session), s.now())
	if err != nil {
		return err
	}
	if len(revoked) > 0 {
		s.revocations.Publish(r.Context(), revoked...)
	}
	http.Redirect(w, r, policyURL(*org)+"#blocked", http.StatusSeeOther)
	return nil
}

// unblock lets a client in again. That somebody else did so first is no matter.
func (s *Server) unblock(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	org, err := s.administeredOrg(r, session.UserID)
	if err != nil {
		return err
	}
	if err := s.store.UnblockClient(r.Context(), s.blockChange(w, r, org, session), s.now()); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	http.Redirect(w, r, policyURL(*org)+"#blocked", http.StatusSeeOther)
	return nil
}

func (s *Server) blockChange(w http.ResponseWriter, r *http.Request, org *store.Organization, session *store.Session) store.BlockChange {
	return store.BlockChange{OrgID: org.ID, By: session.UserID, ClientIdentity: r.PostForm.Get("client"), RequestID: w.Header().Get("X-Request-Id")}
}

// blockURL is where blocking a client is confirmed.
func blockURL(org store.Organization, identity string) string {
	return policyPath + "/block?" + url.Values{"org": {org.Slug}, "client": {identity}}.Encode()
}

// orgClient is how pages speak of it; its host is unknown where it was never
// connected.
func orgClient(c *store.OrgClient) ui.Client {
	if c.RedirectURI == "" {
		return ui.Client{Name: c.ClientName}
	}
	host, local := ui.RedirectPlace(c.RedirectURI)
	return ui.Client{Name: c.ClientName, Verified: c.ClientVerified, Host: host, Local: local}
}
