package authz

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"scaling.cloud/mcp/authz/clientdoc"
	"scaling.cloud/mcp/store"
)

// How long after its last good fetch a copy may stand in for a document that
// cannot be fetched. Makers whose clients everybody has are given longer: some of
// them refuse requests from a cloud's addresses now and then.
const (
	staleFor          = 7 * 24 * time.Hour
	staleForCatalogue = 30 * 24 * time.Hour
)

// Bounds of the work for one document: the fetch of it and of its keys together,
// and with that the storing.
const (
	documentFetchTimeout = 5 * time.Second
	documentTimeout      = 8 * time.Second
)

// keysInterval is how often a client's keys may be fetched out of turn, because an
// assertion names one that we do not have.
const keysInterval = 5 * time.Minute

// Documents knows the clients whose id is the URL of their metadata document. It
// keeps the last good copy of each in the database. It is safe for concurrent
// use.
type Documents struct {
	store   *store.Store
	fetcher *clientdoc.Fetcher
	log     *slog.Logger
	now     func() time.Time
	flights singleflight.Group
}

// NewDocuments returns Documents that reach other servers by transport, or, if it
// is nil, the public internet alone (clientdoc.NewTransport).
func NewDocuments(st *store.Store, transport http.RoundTripper, log *slog.Logger, now func() time.Time) *Documents {
	if transport == nil {
		transport = clientdoc.NewTransport()
	}
	return &Documents{store: st, fetcher: clientdoc.NewFetcher(transport, now), log: log, now: now}
}

// client returns the client that an authorization request names. An id that is an
// https URL is that of its document, which is fetched unless there is a fresh
// copy. Errors are worded for the person.
func (s *Server) client(ctx context.Context, id string) (*store.Client, error) {
	if strings.HasPrefix(id, "https://") {
		return s.Documents.client(ctx, id)
	}
	c, err := s.Store.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(codeInvalidClient, "We do not know this app: its registration may have been removed. Remove the connection in the app and add it again.")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return c, nil
}

func (d *Documents) client(ctx context.Context, id string) (*store.Client, error) {
	if problem := clientdoc.CheckURL(id); problem != "" {
		return nil, refuse(codeInvalidClient, "The app says that it describes itself at an address (client_id) where we do not look: "+problem+".")
	}
	stored, withdrawn, err := d.store.StoredDocument(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, unavailable(err)
	}
	usable := stored != nil && !withdrawn
	if usable && d.now().Before(*stored.FreshUntil) {
		return stored, nil
	}
	var seen time.Time
	if usable {
		seen = *stored.FetchedAt
	}
	fetched, err := d.fetch(ctx, id, seen)
	if err == nil {
		return fetched, nil
	}
	if errors.Is(err, clientdoc.ErrGone) {
		return nil, &Error{Status: http.StatusBadRequest, Code: codeInvalidClient, Err: err,
			Description: "There is no such app (any more): the document in which it should describe itself is not there (client_id)."}
	}
	limit := staleFor
	if inCatalogue(id) {
		limit = staleForCatalogue
	}
	if usable && d.now().Before(stored.FetchedAt.Add(limit)) {
		d.log.WarnContext(ctx, "using a stale client metadata document", "client_id", id, "fetched_at", stored.FetchedAt, "error", err)
		return stored, nil
	}
	return nil, err
}

// fetch fetches the document of id and stores what it says, unless a copy fetched
// after seen is stored by now. Of calls at the same time one fetches, and all get
// its answer. The error wraps clientdoc.ErrGone where there is no document any
// more, which has then been noted; any other is an *Error for the person.
func (d *Documents) fetch(ctx context.Context, id string, seen time.Time) (*store.Client, error) {
	// The first to ask may go away; the others still wait.
	work := context.WithoutCancel(ctx)
	flight := d.flights.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(work, documentTimeout)
		defer cancel()
		// Who looked before the last flight stored its answer, and got here after it
		// landed, has it now.
		if stored, withdrawn, err := d.store.StoredDocument(ctx, id); err == nil && !withdrawn && stored.FetchedAt.After(seen) {
			return stored, nil
		}
		return d.fetchOnce(ctx, id)
	})
	select {
	case <-ctx.Done():
		return nil, unreachableDocument(ctx.Err())
	case result := <-flight:
		c, _ := result.Val.(*store.Client)
		return c, result.Err
	}
}

func (d *Documents) fetchOnce(ctx context.Context, id string) (*store.Client, error) {
	asked := d.now()
	known := inCatalogue(id)
	bounded, cancel := context.WithTimeout(ctx, documentFetchTimeout)
	defer cancel()
	answer, err := d.fetcher.Fetch(bounded, id, known)
	if errors.Is(err, clientdoc.ErrGone) {
		if err := d.store.WithdrawDocument(ctx, id, asked); err != nil {
			return nil, unavailable(err)
		}
		return nil, err
	}
	if err != nil {
		return nil, documentError(err)
	}
	parsed, err := parseDocument(id, answer.Body)
	if err != nil {
		return nil, unusableDocument(err.Error(), nil)
	}
	keySet, err := d.keySet(bounded, parsed, known)
	if err != nil {
		return nil, err
	}
	fresh := asked.Add(answer.FreshFor)
	c := parsed.client(id)
	c.Kind = store.ClientDocument
	c.ClientCopy = store.ClientCopy{FetchedAt: &asked, FreshUntil: &fresh, KeySet: keySet, AlsoPublic: parsed.alsoPublic}
	stored, err := d.store.SaveDocument(ctx, c, documentHash(answer.Body))
	if err != nil {
		return nil, unavailable(err)
	}
	return stored, nil
}

// keySet returns the keys of a client that authenticates by them, which its
// document contains or names; else nil.
func (d *Documents) keySet(ctx context.Context, of *document, known bool) ([]byte, error) {
	if of.TokenEndpointAuthMethod != store.AuthMethodPrivateKeyJWT {
		return nil, nil
	}
	raw := []byte(of.JWKS)
	if raw == nil {
		answer, err := d.fetcher.Fetch(ctx, of.JWKSURI, known)
		if errors.Is(err, clientdoc.ErrGone) { // the keys, not the client
			return nil, unusableDocument("its keys are not where it says (jwks_uri)", err)
		}
		if err != nil {
			return nil, documentError(err)
		}
		raw = answer.Body
	}
	keySet, err := parseKeySet(raw)
	if err != nil {
		return nil, unusableDocument(err.Error(), nil)
	}
	return keySet, nil
}

// documentError turns an error of package clientdoc into what the person is told.
func documentError(err error) error {
	if errors.Is(err, clientdoc.ErrUnusable) {
		return unusableDocument("what is found there is something else", err)
	}
	return unreachableDocument(err)
}

// unusableDocument is a document that will not be good the next time either.
func unusableDocument(reason string, err error) error {
	return &Error{Status: http.StatusBadRequest, Code: codeInvalidClient, Err: err,
		Description: "The document in which this app describes itself cannot be used: " + strings.TrimSuffix(reason, ".") + ". Only the app’s maker can mend that."}
}

// unreachableDocument is a document that we do not get at the moment.
func unreachableDocument(err error) error {
	return &Error{Status: http.StatusServiceUnavailable, Code: codeTemporarilyUnavailable, Err: err,
		Description: "The document in which this app describes itself cannot be fetched at the moment. Try again in a minute."}
}

// refetchKeys fetches the document of c, and so its keys, in the background if
// that has not been done of late. pending says that newer keys than c has may be
// on their way; if it is false, c has the newest.
func (d *Documents) refetchKeys(ctx context.Context, c *store.Client) (pending bool, err error) {
	now := d.now()
	if now.Before(c.FetchedAt.Add(keysInterval)) {
		return false, nil
	}
	granted, err := d.store.AskForKeys(ctx, c.ID, keysInterval, now)
	if err != nil {
		return false, unavailable(err)
	}
	if granted {
		go func(ctx context.Context) {
			if _, err := d.fetch(ctx, c.ID, *c.FetchedAt); err != nil {
				d.log.WarnContext(ctx, "refetching the keys of a client", "client_id", c.ID, "error", err)
			}
		}(context.WithoutCancel(ctx))
	}
	return true, nil
}

// Bounds of one round of RefreshKeySets.
const (
	keySetsAtOnce  = 4
	keySetsInRound = 500
)

// RefreshKeySets fetches anew the documents, and so the keys, of clients with live
// connections whose copy is no longer fresh: clients that stay connected never
// come by the authorization endpoint. It is to be called now and then. A document
// that cannot be fetched keeps its copy.
func (d *Documents) RefreshKeySets(ctx context.Context) error {
	began := d.now()
	ids, err := d.store.StaleKeySets(ctx, keySetsInRound, began)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(keySetsAtOnce)
	for _, id := range ids {
		g.Go(func() error {
			if _, err := d.fetch(ctx, id, began); err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "refreshing the keys of a client", "client_id", id, "error", err)
			}
			return nil
		})
	}
	return g.Wait()
}
