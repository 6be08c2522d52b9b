package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// Types of arguments that are more than their Go type says. wireSchemas has
// what the schema adds.
type (
	sequentialID   int
	pageSize       int
	incidentTitle  string
	longText       string
	componentIDs   []string
	idempotencyKey string
	updateBody     string
)

// wireSchemas returns the schemas of the types on the wire that have one of
// their own. All are inlined: several clients cannot follow a $ref.
func wireSchemas() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		// Beyond 2⁵³ a number would be rounded to another one on its way.
		reflect.TypeFor[sequentialID]():   {Type: "integer", Minimum: new(1.0), Maximum: new(float64(math.MaxInt32))},
		reflect.TypeFor[pageSize]():       {Type: "integer", Minimum: new(1.0), Maximum: new(float64(incident.MaxLimit)), Default: mustMarshal(incident.DefaultLimit)},
		reflect.TypeFor[incidentTitle]():  {Type: "string", MinLength: new(1), MaxLength: new(incident.MaxTitle)},
		reflect.TypeFor[longText]():       {Type: "string", MaxLength: new(incident.MaxDescription)},
		reflect.TypeFor[componentIDs]():   {Type: "array", Items: &jsonschema.Schema{Type: "string"}, MaxItems: new(incident.MaxComponents)},
		reflect.TypeFor[updateBody]():     {Type: "string", MinLength: new(1), MaxLength: new(incident.MaxUpdate)},
		reflect.TypeFor[idempotencyKey](): {Type: "string", MinLength: new(1), MaxLength: new(255), Pattern: "^[!-~]+$"},

		// Written out in every tool, it would be a third of tools/list, which every
		// client loads before its first call.
		reflect.TypeFor[changedIncident](): {Type: "object", Description: "the incident as list_incidents shows it"},

		reflect.TypeFor[store.Severity]():        enum(store.Severities()),
		reflect.TypeFor[store.Visibility]():      enum(store.Visibilities()),
		reflect.TypeFor[store.IncidentStatus]():  enum(store.IncidentStatuses()),
		reflect.TypeFor[store.EscalationState](): enum([]store.EscalationState{store.EscalationNone, store.EscalationPaging, store.EscalationAcknowledged, store.EscalationExhausted}),
		reflect.TypeFor[store.EventType]():       enum(store.EventTypes()),
		reflect.TypeFor[store.Visibility]():      enum([]store.Visibility{store.VisibilityInternal, store.VisibilityPublic}),
		reflect.TypeFor[uuid.UUID]():             {Type: "string", Format: "uuid"},
		reflect.TypeFor[time.Time]():             {Type: "string", Format: "date-time"},
	}
}

func enum[T any](values []T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// schemaOf returns the schema of a wire type or of what it points to, or panics
// where it cannot have one.
func schemaOf[T any]() *jsonschema.Schema {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer {
		t = t.Elem() // or null would be allowed too
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: wireSchemas()})
	if err != nil {
		panic(err)
	}
	mendNulls(s)
	return s
}

// outputSchemaOf returns the schema of a result. Members that it does not name
// are allowed: a client that keeps a schema must not refuse the answer of a later
// release, which has one more.
func outputSchemaOf[T any]() *jsonschema.Schema {
	s := schemaOf[T]()
	allowMore(s)
	return s
}

func allowMore(s *jsonschema.Schema) {
	s.AdditionalProperties = nil
	for _, property := range s.Properties {
		allowMore(property)
	}
	if s.Items != nil {
		allowMore(s.Items)
	}
}

// mendNulls says where null is allowed. It is not where Go would take a nil
// slice: our lists are empty rather than null, and clients want one type for a
// property. It is among the values of an enum that a pointer leads to, which
// would refuse it by itself.
func mendNulls(s *jsonschema.Schema) {
	if slices.Equal(s.Types, []string{"null", "array"}) {
		s.Type, s.Types = "array", nil
	}
	if s.Enum != nil && slices.Contains(s.Types, "null") {
		s.Enum = append(slices.Clip(s.Enum), nil)
	}
	for _, property := range s.Properties {
		mendNulls(property)
	}
	if s.Items != nil {
		mendNulls(s.Items)
	}
}

// explain says what is wrong with arguments that do not fit a tool's input
// schema, for every argument at once. The SDK has refused them; its own words
// are those of a schema validator.
func explain(schema *jsonschema.Schema, arguments json.RawMessage) *toolError {
	e := &toolError{Code: incident.CodeInvalidArguments}
	var given map[string]any
	d := json.NewDecoder(bytes.NewReader(arguments))
	d.UseNumber() // a number that no float64 can hold is one all the same
	if err := d.Decode(&given); err != nil {
		e.Message = "The arguments must be a JSON object."
		return e
	}
	var faults []string
	for _, name := range schema.Required {
		if _, ok := given[name]; !ok {
			faults = append(faults, name+" is required")
		}
	}
	for _, name := range schema.PropertyOrder {
		value, ok := given[name]
		if !ok {
			continue
		}
		property := schema.Properties[name]
		if fault := misfit(property, value); fault != "" {
			faults = append(faults, name+" "+fault)
			if property.Enum != nil && e.ValidValues == nil {
				e.ValidValues = names(property.Enum)
			}
		}
	}
	for name := range given {
		if schema.Properties[name] == nil {
			faults = append(faults, fmt.Sprintf("some arguments are unknown, it takes only %s", strings.Join(schema.PropertyOrder, ", ")))
			break
		}
	}
	if faults == nil {
		faults = []string{"they do not fit the input schema"}
	}
	e.Message = "Correct the arguments and call again: " + strings.Join(faults, "; ") + "."
	return e
}

// misfit says what a value must be that does not fit the schema of its
// property, or returns "" if it fits.
func misfit(s *jsonschema.Schema, value any) string {
	switch s.Type {
	case "integer":
		number, ok := value.(json.Number)
		n, _ := number.Float64() // infinite where it is too large
		switch {
		case !ok || n != math.Trunc(n):
			return "must be an integer"
		case n < *s.Minimum || n > *s.Maximum:
			return fmt.Sprintf("must be from %.0f to %.0f", *s.Minimum, *s.Maximum)
		}
	case "string":
		text, ok := value.(string)
		length := utf8.RuneCountInString(text)
		switch {
		case !ok:
			return "must be a string"
		case s.Enum != nil && !slices.Contains(names(s.Enum), text):
			return "must be one of " + strings.Join(names(s.Enum), ", ")
		case s.MinLength != nil && (length < *s.MinLength || length > *s.MaxLength):
			return fmt.Sprintf("must have %d to %d characters", *s.MinLength, *s.MaxLength)
		case s.MaxLength != nil && length > *s.MaxLength:
			return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
		case s.Pattern != "" && strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }):
			return "must consist of visible ASCII characters, without spaces"
		}
	case "array":
		items, ok := value.([]any)
		if !ok {
			return "must be a list"
		}
		if s.MaxItems != nil && len(items) > *s.MaxItems {
			return fmt.Sprintf("must have at most %d items", *s.MaxItems)
		}
		for _, item := range items {
			if fault := misfit(s.Items, item); fault != "" {
				return "has an item that " + fault
			}
		}
	}
	return ""
}

// names returns the values of an enum as they are on the wire.
func names(values []any) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = fmt.Sprint(v)
	}
	return list
}

// withoutBlanks returns the arguments of a call as the SDK takes them: an
// object, without the members by which models leave an optional argument out:
// those that are null, or an empty string. No arguments at all, which a client
// may say by null, would make the SDK panic where the schema has defaults.
func withoutBlanks(schema *jsonschema.Schema, arguments json.RawMessage) json.RawMessage {
	if text := bytes.TrimSpace(arguments); len(text) == 0 || string(text) == "null" {
		return json.RawMessage("{}")
	}
	if !bytes.Contains(arguments, []byte("null")) && !bytes.Contains(arguments, []byte(`""`)) {
		return arguments
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(arguments, &members); err != nil {
		return arguments // not an object: the SDK says so
	}
	maps.DeleteFunc(members, func(name string, value json.RawMessage) bool {
		optional := schema.Properties[name] != nil && !slices.Contains(schema.Required, name)
		return string(value) == "null" || string(value) == `""` && optional
	})
	return mustMarshal(members)
}
