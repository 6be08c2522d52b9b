// Package otelx has the tracing helper that fosite expects of
// github.com/ory/x.
package otelx

import (
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// End ends span, marked as failed when *err is not nil. It is meant to be
// deferred with a pointer to the named result.
func End(span trace.Span, err *error) {
	if err != nil && *err != nil {
		span.RecordError(*err)
		span.SetStatus(codes.Error, (*err).Error())
	}
	span.End()
}
