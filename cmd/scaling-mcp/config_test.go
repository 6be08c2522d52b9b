package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

func production() settings {
	return settings{
		PublicURL: "https://mcp.example.com", DatabaseURL: "postgres://db/x", RedisURL: "redis://r",
		MasterKey:   secret(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))),
		ClerkIssuer: "https://clerk.example.com", ClerkClientID: "id", ClerkClientSecret: "cs", ClerkSecretKey: "sk_live_x",
		ClerkWebhookSecret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		ClerkAPIURL:        "https://api.clerk.com",
		AccessTokenTTL:     time.Hour, RefreshIdleTTL: 720 * time.Hour, ConnectionMaxAge: 4320 * time.Hour, AuditMonths: 13,
	}
}

func TestServeRefusesWhatIsMissingOrUnsafeAndSaysWhich(t *testing.T) {
	t.Parallel()
	good := production()
	if err := good.checkProduction(); err != nil {
		t.Fatalf("the good settings of this test are refused: %v", err)
	}
	for name, row := range map[string]struct {
		change func(*settings)
		want   string
	}{
		"no public URL":             {func(s *settings) { s.PublicURL = "" }, "SCALING_PUBLIC_URL"},
		"http to the world":         {func(s *settings) { s.PublicURL = "http://mcp.example.com" }, "SCALING_PUBLIC_URL"},
		"a path":                    {func(s *settings) { s.PublicURL += "/mcp" }, "SCALING_PUBLIC_URL"},
		"a trailing slash":          {func(s *settings) { s.PublicURL += "/" }, "SCALING_PUBLIC_URL"},
		"a query":                   {func(s *settings) { s.PublicURL += "?" }, "SCALING_PUBLIC_URL"},
		"a fragment":                {func(s *settings) { s.PublicURL += "#" }, "SCALING_PUBLIC_URL"},
		"a scheme in capitals":      {func(s *settings) { s.PublicURL = "HTTPS://mcp.example.com" }, "SCALING_PUBLIC_URL"},
		"a host in capitals":        {func(s *settings) { s.PublicURL = "https://MCP.example.com" }, "SCALING_PUBLIC_URL"},
		"an empty port":             {func(s *settings) { s.PublicURL += ":" }, "SCALING_PUBLIC_URL"},
		"the default port":          {func(s *settings) { s.PublicURL += ":443" }, "SCALING_PUBLIC_URL"},
		"no host":                   {func(s *settings) { s.PublicURL = "https://:8443" }, "SCALING_PUBLIC_URL"},
		"user information":          {func(s *settings) { s.PublicURL = "https://a@mcp.example.com" }, "SCALING_PUBLIC_URL"},
		"no database":               {func(s *settings) { s.DatabaseURL = "" }, "SCALING_DATABASE_URL"},
		"no Redis":                  {func(s *settings) { s.RedisURL = "" }, "SCALING_REDIS_URL"},
		"no master key":             {func(s *settings) { s.MasterKey = "" }, "SCALING_MASTER_KEY"},
		"a short master key":        {func(s *settings) { s.MasterKey = "c2hvcnQ=" }, "SCALING_MASTER_KEY"},
		"a master key of zeros":     {func(s *settings) { s.MasterKey = secret(base64.StdEncoding.EncodeToString(make([]byte, 32))) }, "SCALING_MASTER_KEY"},
		"a bad previous master key": {func(s *settings) { s.MasterKeyPrevious = "x" }, "SCALING_MASTER_KEY_PREVIOUS"},
		"no Clerk":                  {func(s *settings) { s.ClerkIssuer = "" }, "SCALING_CLERK_ISSUER"},
		"the development Clerk":     {func(s *settings) { s.ClerkIssuer = "http://127.0.0.1:8081" }, "SCALING_CLERK_ISSUER"},
		"no webhook secret":         {func(s *settings) { s.ClerkWebhookSecret = "" }, "SCALING_CLERK_WEBHOOK_SECRET"},
		"a bad webhook secret":      {func(s *settings) { s.ClerkWebhookSecret = "whsec_c2hvcnQ=" }, "SCALING_CLERK_WEBHOOK_SECRET"},
		"Clerk's API in the clear":  {func(s *settings) { s.ClerkAPIURL = "http://api.clerk.com" }, "SCALING_CLERK_API_URL"},
		"an origin that is none":    {func(s *settings) { s.AllowedOrigins = []string{"https://a.example/"} }, "SCALING_ALLOWED_ORIGINS"},
		"a proxy that is none":      {func(s *settings) { s.TrustedProxies = []string{"proxy"} }, "SCALING_TRUSTED_PROXIES"},
		"proxies everywhere":        {func(s *settings) { s.TrustedProxies = []string{"0.0.0.0/0"} }, "SCALING_TRUSTED_PROXIES"},
		"no mail server":            {func(s *settings) { s.SMTPURL, s.MailFrom = "mail.example.com", "a@example.com" }, "SCALING_SMTP_URL"},
		"mail from nobody":          {func(s *settings) { s.SMTPURL = "smtp://mail.example.com" }, "SCALING_MAIL_FROM"},
		"mail from what is none":    {func(s *settings) { s.SMTPURL, s.MailFrom = "smtp://mail.example.com", "Scaling" }, "SCALING_MAIL_FROM"},
		"no lifetime":               {func(s *settings) { s.AccessTokenTTL = 0 }, "SCALING_ACCESS_TOKEN_TTL"},
		"a lifetime of a week":      {func(s *settings) { s.AccessTokenTTL = 168 * time.Hour }, "SCALING_ACCESS_TOKEN_TTL"},
		"refresh before expiry":     {func(s *settings) { s.RefreshIdleTTL = time.Minute }, "SCALING_REFRESH_IDLE_TTL"},
		"an audit log of no month":  {func(s *settings) { s.AuditMonths = 0 }, "SCALING_AUDIT_MONTHS"},
		"a connection of a minute":  {func(s *settings) { s.ConnectionMaxAge = time.Minute }, "SCALING_CONNECTION_MAX_AGE"},
	} {
		s := production()
		row.change(&s)
		err := s.checkProduction()
		if err == nil || !strings.Contains(err.Error(), row.want+" ") && !strings.Contains(err.Error(), row.want+":") {
			t.Errorf("%s: error is %v, want one about %s", name, err, row.want)
		}
	}
	var nothing settings
	if err := nothing.checkProduction(); err == nil || strings.Count(err.Error(), "\n") < 6 {
		t.Errorf("with nothing set: %v, want everything that is missing at once", err)
	}
}

func TestSecretsArePrintedNowhere(t *testing.T) {
	t.Parallel()
	s := production()
	s.ClerkSecretKey, s.SMTPURL = "sk_live_topsecret", "smtp://u:topsecret@mail example"
	s.MailFrom = "a@example.com"
	if err := s.checkProduction(); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("a bad mail server: got %v, want an error without its password", err)
	}
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s)} {
		if strings.Contains(printed, "topsecret") {
			t.Errorf("a secret is in %s", printed)
		}
	}
}
