package web

import (
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// word is the name of something in the audit log, and what people call it.
type word struct{ name, says string }

// actions says what a call did, or tried to do, by its action, in the order of the
// filter. What happened to a connection is nothing that somebody tried.
var actions = []struct{ name, did, tried string }{
	{"list_incidents", "Listed incidents", "list incidents"},
	{"get_incident", "Read an incident", "read an incident"},
	{"get_incident_timeline", "Read a timeline", "read a timeline"},
	{"create_incident", "Created an incident", "create an incident"},
	{"acknowledge_incident", "Acknowledged an incident", "acknowledge an incident"},
	{"transition_incident_status", "Changed an incident’s status", "change an incident’s status"},
	{"resolve_incident", "Resolved an incident", "resolve an incident"},
	{"post_incident_update", "Posted an update", "post an update"},
	{"list_schedules", "Listed on-call schedules", "list on-call schedules"},
	{"who_is_on_call", "Asked who is on call", "ask who is on call"},
	{"publish_draft", "Published a draft", "publish a draft"},
	{"discard_draft", "Discarded a draft", "discard a draft"},
	{"change_policy", "Changed the policy", "change the policy"},
	{"block_client", "Blocked a client", "block a client"},
	{"unblock_client", "Let a client in again", "let a client in again"},
	{store.AuditConnected, "Connected", ""},
	{store.AuditRevoked(store.RevokedByUser), "Revoked their own connection", ""},
	{store.AuditRevoked(store.RevokedByAdmin), "Revoked a connection, as administrator", ""},
	{store.AuditRevoked(store.RevokedByClient), "Disconnected itself", ""},
	{store.AuditRevoked(store.RevokedByReuse), "A key that it had replaced came back", ""},
	{store.AuditRevoked(store.RevokedByReplay), "A one-time code came back", ""},
	{store.AuditRevoked(store.RevokedByClerk), "Lost its access", ""},
	{store.AuditRevoked(store.RevokedByPolicy), "Ended by the policy", ""},
	{store.AuditRevoked(store.RevokedByOperator), "Ended by scaling.cloud", ""},
}

// refusals says why calls were refused, by outcome, in the order of the filter.
var refusals = []word{
	{"insufficient_scope", "no permission"},
	{"not_found", "not found"},
	{"invalid_arguments", "not understood"},
	{"invalid_status_transition", "a status does not go there"},
	{"incident_resolved", "resolved already"},
	{"invalid_component_id", "unknown component"},
	{"duplicate_component_id", "a component given twice"},
	{"public_updates_not_allowed", "public updates are not allowed"},
	{"no_public_surface", "no status page shows it"},
	{"not_confirmed", "not confirmed"},
	{"confirmation_used", "the confirmation was used before"},
	{"draft_discarded", "the draft was discarded"},
	{"draft_expired", "the draft expired"},
	{"idempotency_key_reused", "its key belongs to another call"},
	{"idempotency_in_progress", "the same call was still running"},
}

// failures says what went wrong on our side, by outcome.
var failures = []word{
	{"unavailable", "overloaded"},
	{"server_error", "our fault"},
}

// whatItDid says what a call did, or tried to do. An action without words is
// called by its name.
func whatItDid(a *store.Activity) string {
	for _, w := range actions {
		switch {
		case w.name != a.Action:
		case a.Outcome == store.OutcomeOK || a.Outcome == store.OutcomeReplayed:
			return w.did
		default:
			return "Tried to " + w.tried
		}
	}
	return a.Action
}

// outcome is what came of a call: a badge, and why, if there is more to say.
func outcome(a *store.Activity) (tone ui.Tone, badge, why string) {
	if a.Revoked() {
		return ui.Calm, "Ended", ""
	}
	switch a.Outcome {
	case store.OutcomeOK:
		return ui.Good, "Done", ""
	case store.OutcomeReplayed:
		return ui.Calm, "Done before", "a repeated call, answered again"
	case store.OutcomeInputRequired:
		return ui.Calm, "Asked", "waited for a person’s word"
	}
	if says, ok := saying(failures, a.Outcome); ok {
		return ui.Bad, "Failed", says
	}
	if says, ok := saying(refusals, a.Outcome); ok {
		return ui.Warn, "Refused", says
	}
	return ui.Warn, "Refused", a.Outcome
}

func saying(words []word, name string) (string, bool) {
	for _, w := range words {
		if w.name == name {
			return w.says, true
		}
	}
	return "", false
}

// actionChoices are what activity can be narrowed to. One that is chosen already
// is among them, whatever it is.
func actionChoices(chosen string) []word {
	var choices []word
	for _, w := range actions {
		choices = append(choices, word{w.name, w.did})
	}
	return with(choices, chosen)
}

// outcomeChoices likewise.
func outcomeChoices(chosen string) []word {
	choices := []word{
		{store.OutcomeOK, "Done"},
		{store.OutcomeReplayed, "Done before"},
		{store.OutcomeInputRequired, "Asked"},
		{store.OutcomeRefused, "Refused or failed"},
	}
	for _, w := range refusals {
		choices = append(choices, word{w.name, "Refused: " + w.says})
	}
	for _, w := range failures {
		choices = append(choices, word{w.name, "Failed: " + w.says})
	}
	return with(choices, chosen)
}

func with(choices []word, chosen string) []word {
	if _, ok := saying(choices, chosen); !ok && chosen != "" {
		choices = append(choices, word{chosen, chosen})
	}
	return choices
}
