// Package errorsx has the error helpers that fosite expects of
// github.com/ory/x: a stack attached once, and the interfaces by which an
// error tells its HTTP status and its texts.
package errorsx

import "github.com/pkg/errors"

// StatusCodeCarrier is an error that knows its HTTP status code.
type StatusCodeCarrier interface{ StatusCode() int }

// StatusCarrier is an error that knows its HTTP status text.
type StatusCarrier interface{ Status() string }

// RequestIDCarrier is an error that knows the request it belongs to.
type RequestIDCarrier interface{ RequestID() string }

// ReasonCarrier is an error that can say what the caller did wrong.
type ReasonCarrier interface{ Reason() string }

// DebugCarrier is an error with text for the operator alone.
type DebugCarrier interface{ Debug() string }

// DetailsCarrier is an error with structured details.
type DetailsCarrier interface{ Details() map[string]any }

type causer interface{ Cause() error }

// Cause follows Cause methods to the innermost error that has none.
func Cause(err error) error {
	for {
		c, ok := err.(causer)
		if !ok || c.Cause() == nil {
			return err
		}
		err = c.Cause()
	}
}

// WithStack attaches the caller's stack to err, unless it carries one already.
func WithStack(err error) error {
	if traced, ok := err.(interface{ StackTrace() errors.StackTrace }); ok && len(traced.StackTrace()) > 0 {
		return err
	}
	return errors.WithStack(err)
}
