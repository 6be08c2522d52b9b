package ui

import (
	"fmt"
	"time"
)

// Ago says how long before now t was, the way a person would. What is older
// than a month is a date.
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

// Date is the day of t.
func Date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// Exact is t to the minute, with its zone.
func Exact(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 MST") }

// Second is t to the second, with its zone.
func Second(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 MST") }

func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }
