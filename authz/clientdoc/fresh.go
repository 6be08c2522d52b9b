package clientdoc

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of how long a document is used without asking again. Without the lower
// one a client's server could be asked at each press of a button; without the
// upper one a client could not be corrected.
const (
	minFresh = 5 * time.Minute
	maxFresh = 24 * time.Hour
)

// freshFor returns the freshness lifetime of an answer (RFC 9111 §4.2.1) less its
// age, within our bounds. We are a shared cache, so s-maxage comes first.
func freshFor(h http.Header) time.Duration {
	var lifetime time.Duration
	directives := cacheControl(h)
	switch {
	case has(directives, "no-store"), has(directives, "no-cache"):
		return minFresh
	case has(directives, "s-maxage"):
		lifetime = seconds(directives["s-maxage"])
	case has(directives, "max-age"):
		lifetime = seconds(directives["max-age"])
	default:
		expires, err := http.ParseTime(h.Get("Expires"))
		if err != nil {
			return minFresh
		}
		date, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			return minFresh
		}
		lifetime = expires.Sub(date)
	}
	return min(max(lifetime-seconds(h.Get("Age")), minFresh), maxFresh)
}

// cacheControl returns the directives of Cache-Control (RFC 9111 §5.2), names in
// lower case. The first of a name counts.
func cacheControl(h http.Header) map[string]string {
	directives := map[string]string{}
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if name = strings.ToLower(name); !has(directives, name) {
			directives[name] = strings.Trim(value, `"`)
		}
	}
	return directives
}

func has(directives map[string]string, name string) bool {
	_, ok := directives[name]
	return ok
}

// seconds reads delta-seconds (RFC 9111 §1.2.2). What is not a number, or is
// negative, counts as none; what is larger than we could use counts as that.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
