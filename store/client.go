package store

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// ClientKind says how we came to know a client.
type ClientKind string

// The kinds of design §9.
const (
	ClientRegistered ClientKind = "registered" // RFC 7591, by itself
	ClientDocument   ClientKind = "document"   // by its metadata document
	ClientStatic     ClientKind = "static"     // by the operator
)

// Methods of client authentication at the token endpoint (RFC 7591 §2).
const (
	AuthMethodNone          = "none"
	AuthMethodBasic         = "client_secret_basic"
	AuthMethodPost          = "client_secret_post"
	AuthMethodPrivateKeyJWT = "private_key_jwt" // RFC 7523 §2.2
)

// The grant types and the response type that a client may have (RFC 7591 §2.1).
const (
	GrantCode        = "authorization_code"
	GrantRefresh     = "refresh_token"
	ResponseTypeCode = "code"
)

// Client is an OAuth client (RFC 7591 §2).
type Client struct {
	ID              string
	Kind            ClientKind
	AuthMethod      string // one of the above
	SecretHash      []byte // SHA-256 of the secret; nil where it has none
	RedirectURIs    []string
	GrantTypes      []string // of GrantCode and GrantRefresh
	Name            string
	ClientURI       string
	SoftwareID      string
	SoftwareVersion string
	CreatedAt       time.Time
	// RegistrationTokenHash is the SHA-256 of the registration access token (RFC
	// 7592); nil where there is none.
	RegistrationTokenHash []byte
	ClientCopy
}

// ClientCopy is what a client has that is described by its metadata document; it
// is empty in others.
type ClientCopy struct {
	FetchedAt  *time.Time // the last good answer
	FreshUntil *time.Time // until then nobody asks again
	KeySet     []byte     `db:"jwks"` // RFC 7517 §5, where the method is AuthMethodPrivateKeyJWT
	// AlsoPublic: AuthMethod need not be used.
	AlsoPublic bool
}

// Public reports whether the client has no means of authenticating itself.
func (c *Client) Public() bool { return c.AuthMethod == AuthMethodNone }

const clientColumns = `id, kind, auth_method, secret_hash, redirect_uris, grant_types, name, client_uri,
	software_id, software_version, created_at, registration_token_hash, fetched_at, fresh_until, jwks, also_public`

// Client returns a client, or ErrNotFound; one that has been withdrawn is not
// found. An id that is no text is not found
// either: Postgres would refuse to look.
func (s *Store) Client(ctx context.Context, id string) (*Client, error) {
	if !isText(id) {
		return nil, ErrNotFound
	}
	c, err := one[Client](s.pool.Query(ctx, `SELECT `+clientColumns+` FROM oauth_clients WHERE id = $1 AND withdrawn_at IS NULL`, id))
	return c, wrap("reading client", err)
}

// isText reports whether Postgres takes s as text.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// RegisterClient stores c and returns it as stored. metadataHash identifies what
// was registered: of public clients with the same hash there is only ever one,
// and it is returned in place of c, however many register at once (design §9).
// The id is that of c if, and only if, a row was inserted.
//
// That it was handed out again is written down once a minute: all installs of a
// popular client meet at one row, and would wait for the disk one by one.
func (s *Store) RegisterClient(ctx context.Context, c Client, metadataHash []byte) (*Client, error) {
	stored, err := one[Client](s.pool.Query(ctx, `
		WITH known AS (
			SELECT `+clientColumns+` FROM oauth_clients
			WHERE $3::text = 'none' AND metadata_hash = $11 AND kind = 'registered' AND auth_method = 'none'
			  AND handed_out_at > $13::timestamptz - interval '1 minute'
		), stored AS (
			INSERT INTO oauth_clients (id, kind, auth_method, secret_hash, redirect_uris, grant_types, name, client_uri,
			                           software_id, software_version, metadata_hash, registration_token_hash, created_at, handed_out_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13 WHERE NOT EXISTS (SELECT FROM known)
			ON CONFLICT (metadata_hash) WHERE kind = 'registered' AND auth_method = 'none'
			DO UPDATE SET handed_out_at = excluded.handed_out_at
			RETURNING `+clientColumns+`
		)
		SELECT * FROM known UNION ALL SELECT * FROM stored`,
		c.ID, c.Kind, c.AuthMethod, c.SecretHash, c.RedirectURIs, c.GrantTypes, c.Name, c.ClientURI,
		c.SoftwareID, c.SoftwareVersion, metadataHash, c.RegistrationTokenHash, c.CreatedAt))
	return stored, wrap("registering client", err)
}

// HandOutClient returns the public client that was registered with metadataHash,
// as RegisterClient would, or ErrNotFound where it would insert one.
func (s *Store) HandOutClient(ctx context.Context, metadataHash []byte, now time.Time) (*Client, error) {
	c, err := one[Client](s.pool.Query(ctx, `
		UPDATE oauth_clients SET handed_out_at = $2
		WHERE metadata_hash = $1 AND kind = 'registered' AND auth_method = 'none'
		RETURNING `+clientColumns, metadataHash, now))
	return c, wrap("handing out client", err)
}
