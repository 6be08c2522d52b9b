package mail_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/mail/mailtest"
)

const from = "Scaling <pages@scaling.example>"

func send(t testing.TB, s *mailtest.Server, m mail.Message) *mailtest.Received {
	t.Helper()
	sender, err := mail.NewSMTP("smtp://"+s.Address, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return <-s.Accepted()
}

func TestAMessageArrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	text := "First line\n\n.a line that begins with a dot\nFrom here, größer: " + strings.Repeat("long ", 300) + "\n"
	got := send(t, mailtest.Start(t), mail.Message{
		ID: "page.1", Thread: "incident.1", Name: "Bea Müller", Address: "bea@acme.example", Subject: "Küche brennt", Text: text,
	})
	if got.From != "pages@scaling.example" || got.To != "bea@acme.example" {
		t.Errorf("envelope: got %s to %s", got.From, got.To)
	}
	for header, want := range map[string]string{
		"From": `"Scaling" <pages@scaling.example>`, "To": "Bea Müller <bea@acme.example>", "Subject": "Küche brennt",
		"Message-ID": "<page.1@scaling.example>", "References": "<incident.1@scaling.example>", "Auto-Submitted": "auto-generated",
	} {
		decoded, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get(header))
		if err != nil || decoded != want {
			t.Errorf("%s: got %q %v, want %q", header, decoded, err, want)
		}
	}
	if _, err := got.Header.Date(); err != nil {
		t.Errorf("Date: %v", err)
	}
	_, body, _ := strings.Cut(got.Raw, "\r\n\r\n")
	decoded, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil || strings.TrimSpace(strings.ReplaceAll(string(decoded), "\r\n", "\n")) != strings.TrimSpace(text) {
		t.Errorf("text: got %q %v", decoded, err)
	}
}

func TestNamesAndSubjectsMakeNoHeaders(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	for _, evil := range []string{
		"x\r\nBcc: victim@example.com", "x\nBcc: victim@example.com", "x\rBcc: victim@example.com", "x\r\n\r\nBcc: victim@example.com",
		"x\u2028Bcc: victim@example.com", "x\x00\x0b\x0cBcc: victim@example.com", `x" <victim@example.com>, "`, "=?utf-8?q?x=0D=0ABcc:_victim?=",
		strings.Repeat("ü\r\n ", 200),
	} {
		got := send(t, server, mail.Message{ID: "1", Name: evil, Address: "bea@acme.example", Subject: evil, Text: "text"})
		if got.To != "bea@acme.example" {
			t.Errorf("%q: sent to %s", evil, got.To)
		}
		addresses, err := got.Header.AddressList("To")
		if err != nil || len(addresses) != 1 || addresses[0].Address != "bea@acme.example" {
			t.Errorf("%q: To is %v %v", evil, addresses, err)
		}
		for name := range got.Header {
			switch name {
			case "From", "To", "Subject", "Message-Id", "Date", "Auto-Submitted", "Mime-Version", "Content-Type", "Content-Transfer-Encoding":
			default:
				t.Errorf("%q made a header %s: %q", evil, name, got.Header[name])
			}
		}
	}
	sender, err := mail.NewSMTP("smtp://"+server.Address, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "bea", "bea@acme.example\r\nBcc: x@example.com", "a@example.com, b@example.com", "Bea <bea@acme.example>"} {
		if err := sender.Send(t.Context(), mail.Message{ID: "1", Address: address, Subject: "s", Text: "t"}); err == nil {
			t.Errorf("address %q: sent, want an error", address)
		}
	}
}

func TestARefusalIsAnErrorAndTheNextTryWorks(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	sender, err := mail.NewSMTP("smtp://"+server.Address, from)
	if err != nil {
		t.Fatal(err)
	}
	m := mail.Message{ID: "1", Address: "bea@acme.example", Subject: "s", Text: "t"}
	server.Refuse(1)
	if err := sender.Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "come back later") {
		t.Errorf("while it refuses: got %v, want what the server said", err)
	}
	if err := sender.Send(t.Context(), m); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sender.Send(cancelled, m); err == nil {
		t.Error("with a context that is done: sent, want an error")
	}
}

func TestPasswordsTravelOverTLSAndNowhereElse(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, mailtest.Login("pages", "topsecret"))
	sender, err := mail.NewSMTP("smtp://pages:topsecret@"+server.Address, from)
	if err != nil {
		t.Fatal(err)
	}
	m := mail.Message{ID: "1", Address: "bea@acme.example", Subject: "s", Text: "t"}
	if err := sender.Send(t.Context(), m); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("a server without TLS: got %v, want an error without the password", err)
	}
	for _, printed := range []string{fmt.Sprint(sender), fmt.Sprintf("%+v", sender), fmt.Sprintf("%#v", sender)} {
		if strings.Contains(printed, "topsecret") {
			t.Errorf("the password is in %s", printed)
		}
	}
}

func TestTLSByEitherWay(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	config := &tls.Config{Certificates: web.TLS.Certificates}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	m := mail.Message{ID: "1", Address: "bea@acme.example", Subject: "s", Text: "t"}
	for scheme, server := range map[string]*mailtest.Server{
		"smtp":  mailtest.Start(t, mailtest.TLS(config), mailtest.Login("pages", "topsecret")),
		"smtps": mailtest.Start(t, mailtest.ImplicitTLS(config), mailtest.Login("pages", "topsecret")),
	} {
		sender, err := mail.NewSMTP(scheme+"://pages:topsecret@"+server.Address, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: a certificate that nobody knows: got %v, want an error", scheme, err)
		}
		if err := sender.Trust(roots); err != nil {
			t.Fatal(err)
		}
		if err := sender.Send(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		if got := <-server.Accepted(); !got.TLS || got.User != "pages" {
			t.Errorf("%s: arrived with TLS %v, as user %q", scheme, got.TLS, got.User)
		}
		wrong, err := mail.NewSMTP(scheme+"://pages:topsecret2@"+server.Address, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := wrong.Trust(roots); err != nil {
			t.Fatal(err)
		}
		if err := wrong.Send(t.Context(), m); err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: a wrong password: got %v, want an error without it", scheme, err)
		}
	}
}

func TestURLsAndAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"smtp://mail.example.com", "smtps://u:p@mail.example.com:4650", "smtp://u%40x:p%2Fq@mail.example.com:25/"} {
		if _, err := mail.NewSMTP(good, from); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "mail.example.com:25", "http://u:topsecret@mail.example.com", "smtp://", "smtp://:25", "smtp://u:topsecret@mail.example.com:0", "smtp://u:topsecret@mail.example.com:99999",
		"smtp://u:topsecret@mail.example.com:port", "smtp://u:topsecret@mail.example.com/path", "smtp://u:topsecret@mail.example.com?x", "smtp://u:topsecret@a b", "smtp://u:top%secret@host",
	} {
		if _, err := mail.NewSMTP(bad, from); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error without the password", bad, err)
		}
	}
	for _, bad := range []string{"", "pages", "a@example.com, b@example.com", "a@example.com\r\nBcc: b@example.com"} {
		if _, err := mail.NewSMTP("smtp://mail.example.com", bad); err == nil {
			t.Errorf("from %q: accepted", bad)
		}
	}
}

func TestTheOutboxKeepsTheNewest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	o := mail.NewOutbox(func() time.Time { now = now.Add(time.Second); return now })
	for n := range 103 {
		if err := o.Send(t.Context(), mail.Message{ID: fmt.Sprint(n)}); err != nil {
			t.Fatal(err)
		}
	}
	got := o.Messages()
	if len(got) != 100 || got[0].ID != "102" || got[99].ID != "3" || !got[0].At.Equal(now) {
		t.Errorf("got %d messages from %s to %s, want 102 to 3", len(got), got[0].ID, got[len(got)-1].ID)
	}
}

func TestTheLogDoesNotSayWhatWasWrittenOrToWhom(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	sender := mail.Log{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	m := mail.Message{ID: "page.1", Name: "Bea", Address: "bea@acme.example", Subject: "Down", Text: "All of it"}
	if err := sender.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "message=page.1") || strings.Contains(got, "bea@") || strings.Contains(got, "Down") || strings.Contains(got, "All") {
		t.Errorf("got %s", got)
	}
}
