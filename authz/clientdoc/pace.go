package clientdoc

import (
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/time/rate"
)

// How often one place is asked: enough for a maker whose clients are many, far
// too little to hurt anybody.
const (
	paceBurst = 20
	paceEvery = 3 * time.Second
	paceKept  = 4096 // places remembered
)

// pace keeps the authorization endpoint, where anybody can name any URL, from
// being a hammer against a third party.
type pace struct {
	places *lru.Cache[string, *rate.Limiter]
}

func newPace() *pace {
	places, err := lru.New[string, *rate.Limiter](paceKept)
	if err != nil {
		panic(err) // the size is positive
	}
	return &pace{places}
}

// allow reports whether u may be fetched now, and counts it. A place is a
// registrable domain: whoever owns one can have as many hosts in it as they
// like, all at one address. A document of a well-known client is a place of its
// own.
func (p *pace) allow(u *url.URL, known bool, now time.Time) bool {
	place := u.String()
	if !known {
		place = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		if domain, err := publicsuffix.EffectiveTLDPlusOne(place); err == nil {
			place = domain
		}
	}
	limiter := rate.NewLimiter(rate.Every(paceEvery), paceBurst)
	if before, ok, _ := p.places.PeekOrAdd(place, limiter); ok {
		limiter = before
	}
	p.places.Get(place) // recently used
	return limiter.AllowN(now, 1)
}
