package ui

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// zoneCookie is what zone.js calls the browser's time zone.
const zoneCookie = "zone"

type zoneKey struct{}

// InZoneOf returns the context of a request, with the time zone that its browser
// is in: times are shown in that. It is UTC where the browser has not said, or
// names a zone that does not exist.
func InZoneOf(r *http.Request) context.Context {
	cookie, err := r.Cookie(zoneCookie)
	if err != nil || cookie.Value == "Local" { // which is the server's own
		return r.Context()
	}
	zone, err := time.LoadLocation(cookie.Value)
	if err != nil {
		return r.Context()
	}
	return context.WithValue(r.Context(), zoneKey{}, zone)
}

// local is t in the zone of a page's reader.
func local(ctx context.Context, t time.Time) time.Time {
	if zone, ok := ctx.Value(zoneKey{}).(*time.Location); ok {
		return t.In(zone)
	}
	return t.UTC()
}

// Ago says how long before now t was, the way a person would. What is older
// than a month is a date, in the zone of t.
func Ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 24*time.Hour:
		return count(int(d.Hours()), "hour")
	case d < 48*time.Hour:
		return "yesterday"
	case d < 30*24*time.Hour:
		return count(int(d.Hours()/24), "day")
	}
	return Date(t)
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit + " ago"
	}
	return fmt.Sprintf("%d %ss ago", n, unit)
}

// Date is the day of t, in its zone.
func Date(t time.Time) string { return t.Format("2 Jan 2006") }

// exact is t to the minute, with its zone.
func exact(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") }

// second is t to the second, with its zone.
func second(t time.Time) string { return t.Format("2 January 2006, 15:04:05 MST") }

func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }
