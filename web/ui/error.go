package ui

import (
	"net/http"
	"strconv"
)

// WriteError answers with the error page. title and message are shown to the
// person: they carry no detail of what went wrong inside.
func WriteError(w http.ResponseWriter, r *http.Request, status int, title, message string) {
	SetHeaders(w.Header())
	w.WriteHeader(status)
	// All that can fail is writing to a browser that has gone.
	_ = ErrorPage(status, title, message).Render(r.Context(), w)
}

func statusWords(status int) string {
	return strconv.Itoa(status) + " " + http.StatusText(status)
}
