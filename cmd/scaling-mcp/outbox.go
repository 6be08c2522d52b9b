package main

import (
	"net/http"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/web/ui"
)

// showOutbox shows what dev would have mailed, newest first.
func showOutbox(o *mail.Outbox) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ui.SetHeaders(w.Header())
		// All that can fail is writing to a browser that has gone.
		_ = outboxPage(o.Messages()).Render(r.Context(), w)
	})
}
