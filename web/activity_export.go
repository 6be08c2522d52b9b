package web

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"scaling.cloud/mcp/store"
)

// Paths of the exports of activity. They stream what may be a year's log: what
// bounds a request must bound how long one stands still, not how long it takes.
const (
	ActivityCSVPath  = activityPath + ".csv"
	ActivityJSONPath = activityPath + ".jsonl"
)

// activityBatch is how many calls an export holds in memory. It holds nothing of
// the database between two batches, so a slow download costs no one else.
const activityBatch = 1000

// activityCSV exports what the page with the same query lists, all pages of it.
func (s *Server) activityCSV(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	return s.exportActivity(w, r, session, "csv", "text/csv; charset=utf-8", func(w io.Writer) encoder {
		return &csvEncoder{Writer: csv.NewWriter(w)}
	})
}

// activityJSON does so with one JSON object on each line.
func (s *Server) activityJSON(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	return s.exportActivity(w, r, session, "jsonl", "application/jsonl; charset=utf-8", func(w io.Writer) encoder {
		return jsonEncoder{json.NewEncoder(w)}
	})
}

// encoder writes calls in one of the formats.
type encoder interface {
	header() error
	calls([]*store.Activity) error
}

func (s *Server) exportActivity(w http.ResponseWriter, r *http.Request, session *store.Session, extension, contentType string, to func(io.Writer) encoder) error {
	scope, filter, err := s.chosenActivity(r, session.UserID)
	if err != nil {
		return err
	}
	if len(filter.wrong) > 0 {
		return &failure{status: http.StatusUnprocessableEntity, title: "That cannot be filtered by",
			message: "Something in the filter is not valid, so nothing was exported. Please go back and correct it."}
	}
	now, query := s.now(), filter.query
	query.After, query.Limit = nil, activityBatch
	batch, err := s.store.Activity(r.Context(), scope.orgIDs, query, now)
	if err != nil {
		return err
	}

	name := "activity-"
	if scope.org != nil {
		name += scope.org.Slug + "-"
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + now.UTC().Format(time.DateOnly) + "." + extension}))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	if r.Method == http.MethodHead {
		return nil
	}
	// From here on the status is sent. Whatever fails, the download must not look
	// complete: the connection breaks before its end.
	encode := to(w)
	err = encode.header()
	for err == nil && len(batch) > 0 {
		if err = encode.calls(batch); err == nil {
			query.After = new(batch[len(batch)-1].Position())
			batch, err = s.store.Activity(r.Context(), scope.orgIDs, query, now)
		}
	}
	if err != nil {
		s.log.WarnContext(r.Context(), "export broken off", "route", r.Pattern, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// activityColumns are those of both formats, in the order of the CSV.
var activityColumns = []string{"time", "person", "email", "client", "connection", "tool", "incident", "outcome", "duration_ms", "request_id",
	"organization", "person_id"}

type csvEncoder struct {
	*csv.Writer
	row []string
}

func (e *csvEncoder) header() error { return e.WriteAll([][]string{activityColumns}) }

func (e *csvEncoder) calls(batch []*store.Activity) error {
	for _, a := range batch {
		c := exported(a)
		incident := ""
		if c.Incident != nil {
			incident = strconv.Itoa(*c.Incident)
		}
		e.row = append(e.row[:0], c.Time, c.Person, c.Email, text(c.Client), text(c.Connection), c.Tool, incident, c.Outcome,
			strconv.FormatFloat(c.DurationMS, 'f', -1, 64), text(c.RequestID), c.Organization, c.PersonID)
		for i, cell := range e.row {
			e.row[i] = inert(cell)
		}
		if err := e.Write(e.row); err != nil {
			return err
		}
	}
	e.Flush()
	return e.Error()
}

// inert is a cell that no spreadsheet takes for a formula, nor one that drops what
// is not seen in front of it. Clients and people chose their names themselves.
func inert(cell string) string {
	first, _ := utf8.DecodeRuneInString(cell)
	seen, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(cell, unseen))
	if strings.ContainsRune("\t\r\n", first) || strings.ContainsRune("=+-@＝＋－＠", seen) {
		return "'" + cell
	}
	return cell
}

func unseen(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

type jsonEncoder struct{ *json.Encoder }

func (jsonEncoder) header() error { return nil }

func (e jsonEncoder) calls(batch []*store.Activity) error {
	for _, a := range batch {
		if err := e.Encode(exported(a)); err != nil {
			return err
		}
	}
	return nil
}

// exportedCall is a call as it is exported. A person who was deleted has no name
// and no address.
type exportedCall struct {
	Time         string  `json:"time"`
	Person       string  `json:"person"`
	Email        string  `json:"email"`
	Client       *string `json:"client"`
	Connection   *string `json:"connection"`
	Tool         string  `json:"tool"`
	Incident     *int    `json:"incident"`
	Outcome      string  `json:"outcome"`
	DurationMS   float64 `json:"duration_ms"`
	RequestID    *string `json:"request_id"`
	Organization string  `json:"organization"`
	PersonID     string  `json:"person_id"`
}

func exported(a *store.Activity) exportedCall {
	c := exportedCall{
		Time: a.At.UTC().Format(time.RFC3339Nano), Person: a.UserName, Email: a.UserEmail, Client: a.ClientName,
		Tool: a.Action, Incident: a.Incident, Outcome: a.Outcome, DurationMS: float64(a.Duration.Microseconds()) / 1000,
		RequestID: a.RequestID, Organization: a.OrgName, PersonID: a.UserID,
	}
	if a.ConnectionID != nil {
		c.Connection = new(a.ConnectionID.String())
	}
	return c
}
