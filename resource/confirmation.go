package resource

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/visible"
)

// confirmationLifetime is how long the answer to a question counts: for as long
// as a person needs to read a text and decide.
const confirmationLifetime = 5 * time.Minute

// question is what a handler returns in the place of a result where the client
// has to ask its person first, and then calls again with the answer (multi
// round-trip requests, MCP 2026-07-28).
type question struct {
	name  string
	form  *mcp.ElicitParams
	state string
}

func (*question) Error() string { return "the person must be asked first" }

func (q *question) result() *mcp.CallToolResult {
	return &mcp.CallToolResult{
		Content:       []mcp.Content{}, // or it would be null
		InputRequests: mcp.InputRequestMap{q.name: q.form}, RequestState: q.state,
	}
}

// Names of the input that we request: a form with one field, or a visit to the
// page of a draft.
const (
	confirmName  = "confirm"
	publishField = "publish"
	visitName    = "visit"
)

// sinceQuestions is the first protocol version in which a client is asked by the
// result of its call, and says with each request what it can do. Before, both
// were part of a session, which does not exist here.
const sinceQuestions = "2026-07-28"

// canAsk reports whether the client of a call can show its person a form, or
// else at least a link.
func canAsk(req *mcp.CallToolRequest) (form, link bool) {
	if req.Session.InitializeParams().ProtocolVersion < sinceQuestions {
		return false, false
	}
	capabilities := req.ClientCapabilities()
	if capabilities == nil || capabilities.Elicitation == nil {
		return false, false
	}
	// An empty object declares forms: there was nothing else once.
	form = capabilities.Elicitation.Form != nil || capabilities.Elicitation.URL == nil
	return form, !form
}

// askToPublish is the question whether a text may be published.
func (s *Server) askToPublish(c *call, in postUpdateInput, required *incident.ConfirmationRequired) *question {
	var message strings.Builder
	fmt.Fprintf(&message, "Publish this update for everybody to read, on %s?\n\n", required.StatusPageURL)
	fmt.Fprintf(&message, "Incident #%d: %s\n", required.SequentialID, quoted(required.Title))
	if !required.AlreadyPublic {
		message.WriteString("This makes the incident public, its title included.\n")
	}
	message.WriteString("\nThe exact text:\n\n")
	for line := range strings.Lines(visible.Text(string(in.Body))) {
		// Marked, so that no line of the text looks like one of ours.
		message.WriteString("> " + strings.TrimRight(line, "\n") + "\n")
	}
	return &question{
		name: confirmName,
		form: &mcp.ElicitParams{
			Mode: "form", Message: message.String(),
			RequestedSchema: &jsonschema.Schema{
				Type: "object",
				Properties: map[string]*jsonschema.Schema{publishField: {
					Type: "boolean", Title: "Publish it", Description: "Customers can read this text at once, and it cannot be edited.",
				}},
				Required: []string{publishField},
			},
		},
		state: s.sealQuestion(c.boundTo(in), s.Now().Add(confirmationLifetime)),
	}
}

// askToVisit takes the person to the page of a draft. What they decide there is
// what the next call is told, so nothing has to be sealed.
func askToVisit(sequentialID sequentialID, d *incident.Draft) *question {
	return &question{name: visitName, form: &mcp.ElicitParams{
		Mode: "url", URL: d.URL, ElicitationID: d.ID.String(),
		Message: fmt.Sprintf("Read the public update on incident #%d, and publish or discard it.", sequentialID),
	}}
}

// visited reports whether the person was taken to the page of the draft, or did
// not want to.
func visited(c *call) bool { return c.Params.InputResponses[visitName] != nil }

// confirmation returns what the call says about the person's word. declined says
// that the person was asked and did not say yes.
//
// A state that is not one of ours for this very call, or too old, says nothing:
// then the person is asked (again), which harms nobody, and mends what a slow
// person or a changed argument broke. So does an answer without a state.
func (s *Server) confirmation(c *call, in postUpdateInput) (asked incident.Confirmation, declined bool) {
	asked.Possible, asked.ByLink = canAsk(c.CallToolRequest)
	answer, ok := c.Params.InputResponses[confirmName].(*mcp.ElicitResult)
	if !ok || answer == nil {
		return asked, false
	}
	nonce, expiresAt, ok := s.openQuestion(c.boundTo(in), c.Params.RequestState)
	if ok && s.Now().Before(expiresAt) {
		asked.Nonce, asked.ExpiresAt = nonce, expiresAt
	}
	return asked, answer.Action != "accept" || answer.Content[publishField] != true
}

// boundTo is what the answer to a question is good for: this person,
// organization, connection, tool, and arguments but for the idempotency key.
func (c *call) boundTo(in postUpdateInput) []byte {
	return mustMarshal([]any{
		c.claims.OrgID, c.claims.Subject, c.claims.ConnectionID, c.tool, in.SequentialID, in.Visibility, []byte(in.Body),
	})
}

// sealQuestion returns the state of a new question: a nonce, by which its answer
// counts once, and when that stops to count. It is sealed because it comes back
// from a client, and bound to what only that may be answered by it.
func (s *Server) sealQuestion(bound []byte, expiresAt time.Time) string {
	nonce := uuid.New()
	plain := binary.BigEndian.AppendUint64(nonce[:], uint64(expiresAt.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(s.questionSeal().Seal(nil, nil, plain, bound))
}

// openQuestion reverses sealQuestion. ok is false for a state that is not ours,
// or was bound to something else.
func (s *Server) openQuestion(bound []byte, state string) (nonce uuid.UUID, expiresAt time.Time, ok bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(state)
	if err != nil {
		return nonce, expiresAt, false
	}
	plain, err := s.questionSeal().Open(nil, nil, sealed, bound)
	if err != nil || len(plain) != len(nonce)+8 {
		return nonce, expiresAt, false
	}
	n := copy(nonce[:], plain)
	return nonce, time.UnixMilli(int64(binary.BigEndian.Uint64(plain[n:]))), true
}

// questionSeal is AES-256-GCM with a random nonce in front of the ciphertext.
func (s *Server) questionSeal() cipher.AEAD {
	block, err := aes.NewCipher(s.ConfirmationKey[:])
	if err != nil {
		panic(err) // the key has a length that AES takes
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // so has the block
	}
	return gcm
}
