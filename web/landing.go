package web

import (
	"errors"
	"net/http"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// landingView is the landing page, for anybody.
type landingView struct {
	page   ui.PageData
	mcpURL string
}

// Landing serves the landing page to whoever asks, signed in or not.
func (s *Server) Landing() http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		view := landingView{ui.PageData{Title: "Your incidents, in your AI client"}, s.mcpURL()}
		session, err := s.sessions.Session(r)
		if err == nil {
			view.page.Account = account(session)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return render(r.Context(), w, landingPage(view))
	})
}
