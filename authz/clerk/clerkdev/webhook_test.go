package clerkdev

import (
	"testing"
	"time"
)

// The vector is from Svix's own signer (npm svix 1.99.1).
func TestSignatureIsSvixs(t *testing.T) {
	t.Parallel()
	secret, err := decodeWebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDemoIDsAreClerkShaped(t *testing.T) {
	t.Parallel()
	demo := Demo()
	valid := func(id, prefix string) bool {
		if len(id) != len(prefix)+27 || id[:len(prefix)] != prefix {
			return false
		}
		for _, c := range id[len(prefix):] {
			if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				return false
			}
		}
		return true
	}
	for _, p := range demo.People {
		if !valid(p.ID, "user_") {
			t.Errorf("%s is not a user id", p.ID)
		}
	}
	for _, o := range demo.Organizations {
		if !valid(o.ID, "org_") {
			t.Errorf("%s is not an organization id", o.ID)
		}
	}
}
