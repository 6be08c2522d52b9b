package incident

import (
	"fmt"
	"strings"
)

// Error is a refusal. Message tells a model what is wrong and what to do
// instead; ValidValues, where there are any, are the values that would do.
// Every other error of this package means that the work could not be done.
type Error struct {
	Code, Message string
	ValidValues   []string
	// ValidNames are what ValidValues are called, where those are ids. Unlike
	// all else here they are what strangers wrote.
	ValidNames []string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Codes of refusals (design §11), the product's first.
const (
	CodeNotFound                = "not_found"
	CodeInvalidStatusTransition = "invalid_status_transition"
	CodeIncidentResolved        = "incident_resolved"
	CodeInvalidComponentID      = "invalid_component_id"
	CodeDuplicateComponentID    = "duplicate_component_id"
	CodeNoPublicSurface         = "no_public_surface"
	CodeInvalidArguments        = "invalid_arguments"
	CodeKeyReused               = "idempotency_key_reused"
	CodeKeyInProgress           = "idempotency_in_progress"
	CodeUnavailable             = "unavailable"
)

func refuse(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// unknownIncident refuses a number that the organization has not given. One of
// another organization's looks no different.
func unknownIncident(sequentialID int) error {
	return refuse(CodeNotFound, "This organization has no incident number %d. Use a sequentialId from list_incidents.", sequentialID)
}

// problems collects what is wrong with the arguments of one call, a sentence
// each, so that a model can mend all of it at once.
type problems struct {
	sentences   []string
	validValues []string // of the first argument that takes one of a few values
}

func (p *problems) add(format string, args ...any) {
	p.sentences = append(p.sentences, fmt.Sprintf(format, args...))
}

func checkSequentialID(p *problems, sequentialID int) {
	if sequentialID < 1 {
		p.add("sequentialId must be a positive integer, got %d.", sequentialID)
	}
}

// oneOf adds a problem unless got is one of valid.
func oneOf[T ~string](p *problems, argument, got string, valid []T) {
	names := make([]string, len(valid))
	for i, v := range valid {
		if string(v) == got {
			return
		}
		names[i] = string(v)
	}
	p.add("%s must be one of %s, got %s.", argument, strings.Join(names, ", "), quote(got))
	if p.validValues == nil {
		p.validValues = names
	}
}

// err returns the problems as one refusal, or nil if there are none.
func (p *problems) err() error {
	if len(p.sentences) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalidArguments, Message: strings.Join(p.sentences, " "), ValidValues: p.validValues}
}

// quote shows a value that somebody sent: bounded, and with everything that
// does not print escaped, so that it cannot pass for our own words.
func quote(s string) string {
	const most = 80
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
