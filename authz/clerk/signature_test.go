package clerk

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The vector is from Svix's own signer (npm svix 1.99.1).
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTimestamp = "1614265330"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSignaturesOfSvixAreVerified(t *testing.T) {
	t.Parallel()
	secret, err := ParseWebhookSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	sent := time.Unix(1614265330, 0)
	set := func(name, value string) func(http.Header, *string) {
		return func(h http.Header, _ *string) { h.Set(name, value) }
	}
	rename := func(h http.Header, _ *string) {
		for _, name := range []string{"id", "timestamp", "signature"} {
			h.Set("webhook-"+name, h.Get("svix-"+name))
			h.Del("svix-" + name)
		}
	}
	for name, row := range map[string]struct {
		change func(http.Header, *string)
		at     time.Time
		good   bool
	}{
		"the vector":                    {nil, sent, true},
		"the header aliases":            {rename, sent, true},
		"five minutes late":             {nil, sent.Add(5 * time.Minute), true},
		"five minutes early":            {nil, sent.Add(-5 * time.Minute), true},
		"the second of three":           {set("svix-signature", "v1,AAAA "+vectorSignature+" v1a,BBBB"), sent, true},
		"later":                         {nil, sent.Add(5*time.Minute + time.Nanosecond), false},
		"earlier":                       {nil, sent.Add(-5*time.Minute - time.Nanosecond), false},
		"another id":                    {set("svix-id", vectorID+"x"), sent, false},
		"another timestamp":             {set("svix-timestamp", "1614265331"), sent, false},
		"a timestamp written otherwise": {set("svix-timestamp", "01614265330"), sent, false},
		"a timestamp that is none":      {set("svix-timestamp", "soon"), sent, false},
		"a timestamp out of range":      {set("svix-timestamp", "9223372036854775807"), sent, false},
		"no timestamp":                  {func(h http.Header, _ *string) { h.Del("svix-timestamp") }, sent, false},
		"no id":                         {func(h http.Header, _ *string) { h.Del("svix-id") }, sent, false},
		"no signature":                  {func(h http.Header, _ *string) { h.Del("svix-signature") }, sent, false},
		"another body":                  {func(_ http.Header, body *string) { *body += " " }, sent, false},
		"half of the headers renamed": {func(h http.Header, _ *string) {
			h.Set("webhook-signature", h.Get("svix-signature"))
			h.Del("svix-signature")
		}, sent, false},
		"another version":    {set("svix-signature", strings.Replace(vectorSignature, "v1,", "v1a,", 1)), sent, false},
		"no version":         {set("svix-signature", strings.TrimPrefix(vectorSignature, "v1,")), sent, false},
		"a signature cut":    {set("svix-signature", vectorSignature[:20]), sent, false},
		"an empty signature": {set("svix-signature", "v1,"), sent, false},
	} {
		h, body := http.Header{}, vectorBody
		h.Set("svix-id", vectorID)
		h.Set("svix-timestamp", vectorTimestamp)
		h.Set("svix-signature", vectorSignature)
		if row.change != nil {
			row.change(h, &body)
		}
		id, err := secret.verify(h, []byte(body), row.at)
		if row.good && (err != nil || id != vectorID) {
			t.Errorf("%s: got %q, %v, want it verified", name, id, err)
		}
		if !row.good && (err == nil || id != "") {
			t.Errorf("%s: verified as %q", name, id)
		}
	}
	other, err := ParseWebhookSecret("whsec_" + strings.Repeat("A", 32))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Svix-Id": {vectorID}, "Svix-Timestamp": {vectorTimestamp}, "Svix-Signature": {vectorSignature}}
	if _, err := other.verify(h, []byte(vectorBody), sent); err == nil {
		t.Error("verified with another secret")
	}
}

func TestWebhookSecretsAreCheckedAndNeverPrinted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "whsec_", "whsec_c2hvcnQ=", "whsec_" + strings.Repeat("!", 32), strings.TrimPrefix(vectorSecret, "whsec_"), "WHSEC_" + strings.TrimPrefix(vectorSecret, "whsec_")} {
		if _, err := ParseWebhookSecret(text); err == nil {
			t.Errorf("%q is taken for a secret", text)
		}
	}
	secret, err := ParseWebhookSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprint(secret), fmt.Sprintf("%+v", secret), fmt.Sprintf("%#v", secret), fmt.Sprintf("%x", secret)} {
		if printed != "[redacted]" && printed != fmt.Sprintf("%x", "[redacted]") {
			t.Errorf("printed as %s", printed)
		}
	}
}
