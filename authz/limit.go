package authz

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store/volatile"
)

// rule is one limit: burst requests at once, and then one in every.
type rule struct {
	bucket string // part of a key in Redis, and never shared by two rules
	burst  int
	every  time.Duration
}

// rules are all limits of this server, design §9. Two thoughts are behind them.
//
// Hosted clients (Claude, ChatGPT) send the code exchanges, refreshes and
// registrations of all their users from a few addresses, so what such a client
// does in the ordinary course is not counted for its network, or widely.
//
// And whoever proves nothing draws only on buckets that those who prove
// something do not need: a token whose MAC or signature is ours is counted for
// its connection alone, so that neither junk from the same address nor the same
// public client_id can throttle it.
var rules = struct {
	register, newClientOfNetwork, newClient      rule
	manage                                       rule
	authorize, signIn, consent, par              rule
	token, tokenStranger, revoke, revokeStranger rule
	introspect, introspectStranger, webhook      rule
}{
	// Per network. Claude registers twice for each connect of each user; almost all
	// of these are one identical registration, and cost the update of one row.
	register: rule{"register", 600, 100 * time.Millisecond},
	// Per network, registrations that store a row. Honest ones are few, but for
	// hosted clients whose redirect URI is another for each connector. It is a
	// twentieth of the global limit, so that one network cannot spend that.
	newClientOfNetwork: rule{"new-client-net", 60, 10 * time.Second},
	// Of all networks together, registrations that store a row: 172,800 a day, which
	// the sweep of those not used within a week keeps to some 1.2 million. Known
	// registrations are answered though it is spent.
	newClient: rule{"new-client", 3000, 500 * time.Millisecond},
	// Per network: clients rarely look at their registration, or change it.
	manage: rule{"manage", 60, time.Second},

	// Per network: an office of thousands behind one address connects twice a second
	// at its busiest, and a minute's worth may come at once. Each request stores a
	// row that lives ten minutes.
	authorize: rule{"authorize", 120, 500 * time.Millisecond},
	// Per network: as many sign-ins, of two requests each.
	signIn: rule{"sign-in", 240, 250 * time.Millisecond},
	// Per network: the page and its answer, and the page again after signing in. The
	// page asks Clerk twice, which allows us 100 requests a second in all.
	consent: rule{"consent", 240, 200 * time.Millisecond},
	// Per network: a hosted client pushes the requests of all its users from a few
	// addresses (RFC 9126). Each stores a row, as at authorize.
	par: rule{"par", 600, 100 * time.Millisecond},

	// Per connection: processes of one client refresh side by side, 32 of them and
	// more, each once an access token has expired, which a setting may make a second.
	token: rule{"token", 100, time.Second},
	// Per network, requests without a code or refresh token of ours. No honest client
	// sends many: tokens that are spent, expired or revoked are still ours.
	tokenStranger: rule{"token-net", 60, time.Second},
	// Per connection: once is enough, and a client that got no answer tries again.
	revoke: rule{"revoke", 20, 10 * time.Second},
	// Per network, tokens that are not ours (RFC 7009 §2.2 answers 200).
	revokeStranger: rule{"revoke-net", 60, time.Second},

	// Per resource server, once it has authenticated itself (RFC 7662 §2.1): it may
	// ask for each request that it serves.
	introspect: rule{"introspect", 1000, 5 * time.Millisecond},
	// Per network, requests with the credentials of no resource server.
	introspectStranger: rule{"introspect-net", 60, time.Second},
	// Per network, before the signature is checked. Clerk sends from a few addresses,
	// a webhook for each member of an organization that is deleted, and sends again
	// what was refused.
	webhook: rule{"webhook", 1000, 20 * time.Millisecond},
}

// everybody is the subject of a limit that is not per anything.
const everybody = "all"

// Limits holds clients to the rate limits of this server. All fields but Factor
// are required. It is safe for concurrent use.
type Limits struct {
	Limiter *volatile.Limiter
	// ClientAddress returns the address that a request comes from. The zero address
	// stands for all whose address is not known.
	ClientAddress func(*http.Request) netip.Addr
	// Factor is how many times wider than the rules the limits are, for development.
	// 0 is once.
	Factor int
	Log    *slog.Logger
}

// SignIn limits the steps of signing in, which anybody may begin. It refuses with
// a page.
func (l *Limits) SignIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := l.perNetwork(r, rules.signIn); err != nil {
			writePage(w, r, l.Log, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Webhook limits what is not known yet to come from Clerk. It refuses in JSON,
// and the sender tries again later.
func (l *Limits) Webhook(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := l.perNetwork(r, rules.webhook); err != nil {
			writeError(w, r, l.Log, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// limited is an endpoint that is limited per network.
func (s *Server) limited(rule rule, serve endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.Limits.perNetwork(r, rule); err != nil {
			return err
		}
		return serve(w, r)
	}
}

// perNetwork counts r for the network that it comes from.
func (l *Limits) perNetwork(r *http.Request, rule rule) error {
	return l.per(r.Context(), rule, l.network(r))
}

// perHolder counts a request that presents a token: for the token's connection if
// the token is ours, else, by another rule, for the network that it comes from.
func (l *Limits) perHolder(r *http.Request, connection uuid.UUID, ours bool, holder, stranger rule) error {
	if !ours {
		return l.perNetwork(r, stranger)
	}
	return l.per(r.Context(), holder, connection.String())
}

// per counts a request for a subject, which is an id or a network and never a
// secret.
func (l *Limits) per(ctx context.Context, rule rule, subject string) error {
	if wait := l.Limiter.Draw(ctx, l.draw(rule, subject))[0]; wait > 0 {
		return tooMany(wait)
	}
	return nil
}

// registration counts a registration. Whether it will store a row is not known
// yet: full is nil if it may, else the error for one that would. If it does store
// one, the caller says so by registered.
func (l *Limits) registration(r *http.Request) (full, err error) {
	network := l.network(r)
	waits := l.Limiter.Draw(r.Context(), append(l.newClient(network), l.draw(rules.register, network))...)
	if wait := waits[len(waits)-1]; wait > 0 {
		return nil, tooMany(wait)
	}
	if wait := max(waits[0], waits[1]); wait > 0 {
		return tooMany(wait), nil
	}
	return nil, nil
}

// registered counts a row that a registration has stored.
func (l *Limits) registered(r *http.Request) {
	for _, draw := range l.newClient(l.network(r)) {
		l.Limiter.Spend(draw)
	}
}

func (l *Limits) newClient(network string) []volatile.Draw {
	draws := []volatile.Draw{l.draw(rules.newClientOfNetwork, network), l.draw(rules.newClient, everybody)}
	for i := range draws {
		draws[i].Later = true
	}
	return draws
}

func (l *Limits) draw(rule rule, subject string) volatile.Draw {
	factor := max(l.Factor, 1)
	return volatile.Draw{Bucket: rule.bucket, Subject: subject, Limit: volatile.Limit{
		Burst: rule.burst * factor, Every: rule.every / time.Duration(factor),
	}}
}

// network is whom a request that proves nothing is counted for: its IPv4 address,
// or the /64 of its IPv6 address, which is the least that a subscriber gets and
// more than enough to change addresses in for ever.
func (l *Limits) network(r *http.Request) string {
	address := l.ClientAddress(r).Unmap()
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // the length is one that it can have
	if !prefix.IsValid() {
		return "unknown"
	}
	return prefix.String()
}

// tooMany refuses a request that came too soon. RFC 6749 has no error code for
// that; temporarily_unavailable (§4.1.2.1: overloaded, for the moment) is the one
// that makes no client throw its tokens or its registration away.
func tooMany(wait time.Duration) error {
	seconds := wholeSeconds(wait)
	unit := "seconds"
	if seconds == 1 {
		unit = "second"
	}
	return &Error{
		Status: http.StatusTooManyRequests, Code: codeTemporarilyUnavailable, RetryAfter: wait,
		Description: fmt.Sprintf("There were too many requests in a short time. Try again in %d %s.", seconds, unit),
	}
}
