package resource

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"scaling.cloud/mcp/resource/rota"
	"scaling.cloud/mcp/store"
)

func untrustedInSchedules() []string {
	return []string{
		"schedules[].name", "schedules[].description", "schedules[].layers[].name",
		"schedules[].layers[].participants[].name", "schedules[].layers[].participants[].email",
		"schedules[].onCall[].person.name", "schedules[].onCall[].person.email", "schedules[].onCall[].layer",
	}
}

func untrustedInOnCall() []string {
	return []string{
		"schedules[].name", "schedules[].owner.name", "schedules[].owner.email",
		"schedules[].onCall[].person.name", "schedules[].onCall[].person.email", "schedules[].onCall[].layer",
		"schedules[].override.person.name", "schedules[].override.person.email",
		"schedules[].next.people[].name", "schedules[].next.people[].email",
	}
}

// listing is a list of schedules as text.
type listing struct {
	lines string
	cut   bool // there was no room for all that were asked for
}

// fill writes schedules, as far as there is room, and returns those that it has
// written: one at least, if there is one.
func (l *listing) fill(schedules iter.Seq2[*rota.Schedule, error], item func(*rota.Schedule) string) (shown []*rota.Schedule, err error) {
	var t transcript
	for s, err := range schedules {
		if err != nil {
			return nil, err
		}
		if !t.lineIfRoom(item(s)) {
			l.cut = true
			break
		}
		shown = append(shown, s)
	}
	l.lines = t.String()
	return shown, nil
}

// read yields schedules that are there already.
func read(schedules ...*rota.Schedule) iter.Seq2[*rota.Schedule, error] {
	return func(yield func(*rota.Schedule, error) bool) {
		for _, s := range schedules {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// mostOfItem bounds what one item of a list takes of the text, in bytes. Names
// of people and layers may be long, and many.
const mostOfItem = 4 << 10

// item joins what is to say about something: its name, and facts, as far as
// mostOfItem goes. All of it is in structuredContent.
func item(name, separator string, facts []string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, fact := range facts {
		if b.Len()+len(separator)+len(fact) > mostOfItem {
			b.WriteString(separator + "and more")
			break
		}
		b.WriteString(separator + fact)
	}
	return b.String()
}

func (o *listSchedulesOutput) writeText(t *transcript) {
	if len(o.Schedules) == 0 {
		t.linef("There are no schedules.")
		return
	}
	t.linef("Schedules, oldest first: %d. Times are those of each schedule's zone.", len(o.Schedules))
	t.fence()
	t.WriteString(o.lines)
	t.unfence()
	if o.cut {
		t.linef("The answer was cut to keep it short.")
	}
	if o.NextCursor != nil {
		t.linef("There are more: call again with cursor %s", *o.NextCursor)
	}
}

func (o *whoIsOnCallOutput) writeText(t *transcript) {
	if len(o.Schedules) == 0 {
		t.linef("There are no schedules, so nobody is on call.")
		return
	}
	t.linef("Schedules at %s: %d. Other times are those of each schedule's zone.", clock(o.At), len(o.Schedules))
	t.fence()
	t.WriteString(o.lines)
	t.unfence()
	if o.cut {
		t.linef("The answer was cut to keep it short. For the other schedules call again with scheduleId; list_schedules has the id of each, and who is on call now.")
	}
}

// scheduleItem is a schedule with its layers.
func scheduleItem(s *rota.Schedule) string {
	var facts []string
	if s.Description != "" {
		facts = append(facts, "description "+quoted(s.Description))
	}
	facts = append(facts, onCallFacts(s)...)
	if s.NextHandoffAt != nil {
		facts = append(facts, "next hand-off "+scheduleClock(s, *s.NextHandoffAt))
	}
	if len(s.Layers) == 0 {
		facts = append(facts, "it has no layers")
	}
	for _, l := range s.Layers {
		facts = append(facts, layerFact(s, l))
	}
	return item(scheduleName(s), "\n  ", facts)
}

func layerFact(s *rota.Schedule, l *store.ScheduleLayer) string {
	rotation := string(l.RotationType)
	if l.RotationType == store.RotationCustom {
		rotation = fmt.Sprintf("every %d days", l.RotationLengthDays)
	}
	fact := fmt.Sprintf("layer %d %s: %s at %s, from %s", l.Position, quoted(l.Name), rotation, l.HandoffTime, scheduleClock(s, l.EffectiveFrom))
	if l.EffectiveUntil != nil {
		fact += " to " + scheduleClock(s, *l.EffectiveUntil)
	}
	return fact + ", turns of " + participantLabels(s.Participants(l))
}

// participantLabels names people, as far as a line goes.
func participantLabels(people []store.Participant) string {
	var labels []string
	for _, p := range people[:min(len(people), mostNamed)] {
		name := label(p.Person)
		if !p.Member {
			name += " (has no access any more)"
		}
		labels = append(labels, name)
	}
	if more := len(people) - mostNamed; more > 0 {
		labels = append(labels, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(labels, ", ")
}

// onCallItem is who is on call, on one line.
func onCallItem(s *rota.Schedule) string {
	facts := onCallFacts(s)
	switch {
	case s.Owner != nil:
		facts = append(facts, "owner "+label(*s.Owner))
	case len(s.OnCall) > 0:
		facts = append(facts, "no owner")
	}
	if o := s.Override; o != nil {
		facts = append(facts, fmt.Sprintf("override by %s from %s to %s", label(o.Person), scheduleClock(s, o.StartsAt), scheduleClock(s, o.EndsAt)))
	}
	return item(scheduleName(s)+": "+facts[0], "; ", append(facts[1:], nextFact(s)))
}

func nextFact(s *rota.Schedule) string {
	if s.NextHandoffAt == nil {
		return "this never changes"
	}
	if s.Next == nil {
		return "nobody from " + scheduleClock(s, *s.NextHandoffAt)
	}
	names := make([]string, len(s.Next.People))
	for n, p := range s.Next.People {
		names[n] = label(p)
	}
	next := fmt.Sprintf("next %s from %s", strings.Join(names, ", "), scheduleClock(s, s.Next.At))
	if len(s.OnCall) > 0 && s.Next.At.After(*s.NextHandoffAt) {
		next = "nobody from " + scheduleClock(s, *s.NextHandoffAt) + "; " + next
	}
	return next
}

// onCallFacts are who is on call, and whose turn it is in vain.
func onCallFacts(s *rota.Schedule) []string {
	var facts []string
	for _, shift := range s.OnCall {
		facts = append(facts, "on call "+label(shift.Person)+inLayer(shift)+until(s, shift))
	}
	if facts == nil {
		facts = append(facts, "nobody is on call")
	}
	for _, shift := range s.Absent {
		facts = append(facts, "it is the turn of "+label(shift.Person)+inLayer(shift)+until(s, shift)+", who has no access any more: nobody is paged for it")
	}
	return facts
}

func inLayer(shift rota.Shift) string {
	if shift.Layer == "" {
		return ""
	}
	return " in layer " + quoted(shift.Layer)
}

func until(s *rota.Schedule, shift rota.Shift) string {
	if shift.Until == nil {
		return ""
	}
	return " until " + scheduleClock(s, *shift.Until)
}

func scheduleName(s *rota.Schedule) string {
	return fmt.Sprintf("%s %s, %s", s.ID, quoted(s.Name), s.Timezone)
}

// scheduleClock is an instant as the clock on the wall of a schedule shows it.
func scheduleClock(s *rota.Schedule, t time.Time) string { return clock(t.In(s.Location)) }

func label(p store.Person) string { return new(personJSON(p)).label() }
