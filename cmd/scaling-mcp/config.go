package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/loopback"
	"scaling.cloud/mcp/mail"
)

// secret is a setting that never prints itself.
type secret string

func (secret) String() string       { return "[redacted]" }
func (secret) GoString() string     { return "[redacted]" }
func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// settings are what serve and dev have in common. Where dev has another default,
// its own help says so.
type settings struct {
	PublicURL   string `env:"SCALING_PUBLIC_URL" placeholder:"URL" help:"Origin that clients and browsers use, and the OAuth issuer, such as https://mcp.scaling.cloud. Never taken from a Host header."`
	Listen      string `env:"SCALING_LISTEN" placeholder:"HOST:PORT" help:"Address to listen on (default :8080; dev: 127.0.0.1:8080)."`
	AdminListen string `env:"SCALING_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"Address of /metrics and /debug/pprof, which are not for the public (default 127.0.0.1:9090; dev: none)."`

	DatabaseURL secret `env:"SCALING_DATABASE_URL" placeholder:"URL" help:"PostgreSQL; ?pool_max_conns=N is how many connections a replica may hold, 20 by default (dev: a private one)."`
	RedisURL    secret `env:"SCALING_REDIS_URL" placeholder:"URL" help:"Redis: redis://host, rediss://host, several with ?addr=host for a cluster, or with ?master_name=name for Sentinel (dev: in process)."`

	MasterKey         secret `env:"SCALING_MASTER_KEY" placeholder:"BASE64" help:"32 bytes in base64 that seal the signing keys in the database; make one with: openssl rand -base64 32 (dev: kept in --data)."`
	MasterKeyPrevious secret `env:"SCALING_MASTER_KEY_PREVIOUS" placeholder:"BASE64" help:"The master key before, while keys sealed with it remain."`

	ClerkIssuer       string `env:"SCALING_CLERK_ISSUER" placeholder:"URL" help:"Clerk's Frontend API, such as https://clerk.scaling.cloud (dev: a development Clerk)."`
	ClerkClientID     string `env:"SCALING_CLERK_CLIENT_ID" placeholder:"ID" help:"Our OAuth application at Clerk."`
	ClerkClientSecret secret `env:"SCALING_CLERK_CLIENT_SECRET" placeholder:"SECRET" help:"Its secret."`
	ClerkSecretKey    secret `env:"SCALING_CLERK_SECRET_KEY" placeholder:"KEY" help:"Clerk's Backend API key (sk_…)."`
	ClerkAPIURL       string `env:"SCALING_CLERK_API_URL" name:"clerk-api-url" default:"https://api.clerk.com" placeholder:"URL" help:"Clerk's Backend API (default ${default})."`

	ClerkWebhookSecret secret `env:"SCALING_CLERK_WEBHOOK_SECRET" placeholder:"SECRET" help:"What Clerk signs webhooks with (whsec_…); have it send users, organizations, memberships and session.revoked to /webhooks/clerk."`

	AccessTokenTTL   time.Duration `env:"SCALING_ACCESS_TOKEN_TTL" name:"access-token-ttl" default:"1h" help:"Lifetime of an access token (default ${default})."`
	RefreshIdleTTL   time.Duration `env:"SCALING_REFRESH_IDLE_TTL" name:"refresh-idle-ttl" default:"720h" help:"How long a refresh token may lie unused (default ${default})."`
	ConnectionMaxAge time.Duration `env:"SCALING_CONNECTION_MAX_AGE" default:"4320h" help:"How long a connection may last (default ${default})."`

	SMTPURL  secret `env:"SCALING_SMTP_URL" name:"smtp-url" placeholder:"URL" help:"Mail server for pages and notices: smtp://user:password@host:587 (STARTTLS) or smtps://host:465; without one, they are only logged (dev: an outbox to look at)."`
	MailFrom string `env:"SCALING_MAIL_FROM" placeholder:"ADDRESS" help:"Whom mail is from, such as \"Scaling <pages@scaling.cloud>\"; needed with SCALING_SMTP_URL."`

	TrustedProxies []string `env:"SCALING_TRUSTED_PROXIES" placeholder:"CIDR" help:"Networks of the proxies in front, such as 10.0.0.0/8, whose X-Forwarded-For is believed; rate limits count by the client's address (by default none: the address of the connection)."`
	AllowedOrigins []string `env:"SCALING_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Browser origins that may call /mcp besides our own (dev: any on this computer too)."`

	AuditMonths int `env:"SCALING_AUDIT_MONTHS" default:"13" placeholder:"N" help:"How many whole months the audit log is kept (default ${default})."`

	// development is set by dev alone: browsers on this computer may call /mcp.
	development bool
	// outbox, too, where there is no mail server: what takes its place.
	outbox *mail.Outbox
	// limitFactor, too: how many times wider rate limits are. 0 is once.
	limitFactor int

	LogLevel slog.Level `env:"SCALING_LOG_LEVEL" default:"info" help:"debug, info, warn or error (default ${default})."`
}

// checkCommon returns what is wrong with settings that every command needs.
func (s *settings) checkCommon() error {
	var problems []error
	if err := checkOrigin(s.PublicURL); err != nil {
		problems = append(problems, fmt.Errorf("SCALING_PUBLIC_URL %w", err))
	}
	if s.AccessTokenTTL < time.Second || s.AccessTokenTTL > authz.MaxAccessTokenTTL {
		problems = append(problems, errors.New("SCALING_ACCESS_TOKEN_TTL must be from 1s to 24h"))
	}
	if s.RefreshIdleTTL < s.AccessTokenTTL {
		problems = append(problems, errors.New("SCALING_REFRESH_IDLE_TTL must not be shorter than SCALING_ACCESS_TOKEN_TTL"))
	}
	if s.ConnectionMaxAge < s.AccessTokenTTL {
		problems = append(problems, errors.New("SCALING_CONNECTION_MAX_AGE must not be shorter than SCALING_ACCESS_TOKEN_TTL"))
	}
	if s.AuditMonths < 1 {
		problems = append(problems, errors.New("SCALING_AUDIT_MONTHS must be 1 or more"))
	}
	if _, err := clerk.ParseWebhookSecret(string(s.ClerkWebhookSecret)); s.ClerkWebhookSecret != "" && err != nil {
		problems = append(problems, fmt.Errorf("SCALING_CLERK_WEBHOOK_SECRET is %w; Clerk's dashboard shows it beside the endpoint", err))
	}
	problems = append(problems, s.checkMail())
	if _, err := parseProxies(s.TrustedProxies); err != nil {
		problems = append(problems, fmt.Errorf("SCALING_TRUSTED_PROXIES: %w", err))
	}
	for _, origin := range s.AllowedOrigins {
		if err := checkOrigin(origin); err != nil {
			problems = append(problems, fmt.Errorf("SCALING_ALLOWED_ORIGINS: %q %w", origin, err))
		}
	}
	return errors.Join(problems...)
}

// checkProduction returns everything that is missing or unsafe for serve, a line
// each, with what to set.
func (s *settings) checkProduction() error {
	var problems []error
	for _, setting := range [][2]string{
		{"SCALING_DATABASE_URL", string(s.DatabaseURL)},
		{"SCALING_REDIS_URL", string(s.RedisURL)},
		{"SCALING_CLERK_ISSUER", s.ClerkIssuer},
		{"SCALING_CLERK_CLIENT_ID", s.ClerkClientID},
		{"SCALING_CLERK_CLIENT_SECRET", string(s.ClerkClientSecret)},
		{"SCALING_CLERK_SECRET_KEY", string(s.ClerkSecretKey)},
		{"SCALING_CLERK_WEBHOOK_SECRET", string(s.ClerkWebhookSecret)},
	} {
		if setting[1] == "" {
			problems = append(problems, fmt.Errorf("%s is not set", setting[0]))
		}
	}
	if _, _, err := s.masterKeys(); err != nil {
		problems = append(problems, err)
	}
	if u, err := url.Parse(s.ClerkAPIURL); err != nil || u.Scheme != "https" || loopback.Host(u.Hostname()) {
		problems = append(problems, errors.New("SCALING_CLERK_API_URL must be https: our secret key travels there"))
	}
	if u, err := url.Parse(s.ClerkIssuer); s.ClerkIssuer != "" && (err != nil || u.Scheme != "https" || loopback.Host(u.Hostname())) {
		problems = append(problems, errors.New("SCALING_CLERK_ISSUER must be the https URL of a real Clerk instance; the development Clerk lets anybody sign in as anybody"))
	}
	return errors.Join(s.checkCommon(), errors.Join(problems...))
}

// masterKeys reads both master keys; previous is nil where there is none.
func (s *settings) masterKeys() (master authz.MasterKey, previous *authz.MasterKey, err error) {
	if master, err = authz.ParseMasterKey(string(s.MasterKey)); err != nil {
		return master, nil, fmt.Errorf("SCALING_MASTER_KEY is %w; make one with: openssl rand -base64 32", err)
	}
	if s.MasterKeyPrevious == "" {
		return master, nil, nil
	}
	key, err := authz.ParseMasterKey(string(s.MasterKeyPrevious))
	if err != nil {
		return master, nil, fmt.Errorf("SCALING_MASTER_KEY_PREVIOUS is %w", err)
	}
	return master, &key, nil
}

// checkOrigin refuses a URL that is not an origin, or not a safe one: tokens
// travel in the clear over http, which is for this computer alone.
func checkOrigin(origin string) error {
	if origin == "" {
		return errors.New("is not set")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("is not a URL such as https://mcp.example.com")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback.Host(u.Hostname())) {
		return errors.New("must be https, or http to this computer")
	}
	// As browsers write it in an Origin header (RFC 6454 §6.2): compared byte for
	// byte, and cookies go by its scheme.
	if origin != u.Scheme+"://"+strings.ToLower(u.Host) || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") ||
		(u.Scheme == "https" && u.Port() == "443") || (u.Scheme == "http" && u.Port() == "80") {
		return errors.New("must be an origin in lower case: no default port, no path, no trailing slash")
	}
	return nil
}
