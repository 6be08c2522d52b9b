package accesstoken_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/accesstoken"
)

const issuer = "https://mcp.example"

var audiences = []string{issuer, issuer + "/mcp"}

// keys are the keys that a verifier knows.
type keys map[string]*ecdsa.PublicKey

func (k keys) VerificationKey(kid string) (*ecdsa.PublicKey, bool) {
	key, ok := k[kid]
	return key, ok
}

func newKey(t testing.TB, kid string) jose.JSONWebKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: kid, Algorithm: string(jose.ES256)}
}

func (k keys) add(key jose.JSONWebKey) { k[key.KeyID] = &key.Key.(*ecdsa.PrivateKey).PublicKey }

func good(now time.Time) accesstoken.Claims {
	return accesstoken.Claims{
		Issuer: issuer, Subject: "user_alice", Audience: issuer + "/mcp", ClientID: "client",
		Scopes: []string{"incidents:read", "schedules:read"}, OrgID: "org_acme", ConnectionID: uuid.New(), Epoch: 3,
		ID: "jti", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func sign(t testing.TB, c accesstoken.Claims, key jose.JSONWebKey) string {
	t.Helper()
	token, err := accesstoken.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerifyReturnsWhatWasSigned(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second).UTC()
	key, known := newKey(t, "k1"), keys{}
	known.add(key)
	want := good(now)
	v := accesstoken.NewVerifier(issuer, audiences, known)
	for range 2 { // the second time from memory
		got, err := v.Verify(sign(t, want, key), now)
		if err != nil {
			t.Fatal(err)
		}
		got.IssuedAt, got.ExpiresAt = got.IssuedAt.UTC(), got.ExpiresAt.UTC()
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
}

func TestRememberedTokenExpiresLikeAnyOther(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	key, known := newKey(t, "k1"), keys{}
	known.add(key)
	v := accesstoken.NewVerifier(issuer, audiences, known)
	token := sign(t, good(now), key)
	if _, err := v.Verify(token, now.Add(time.Hour-time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := v.Verify(token, now.Add(time.Hour)); !errors.Is(err, accesstoken.ErrExpired) {
			t.Errorf("error is %v, want ErrExpired", err)
		}
	}
}

func TestRememberedTokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	withdrawn, other, known := newKey(t, "k1"), newKey(t, "k2"), keys{}
	known.add(withdrawn)
	known.add(other)
	v := accesstoken.NewVerifier(issuer, audiences, known)
	token, bystander := sign(t, good(now), withdrawn), sign(t, good(now), other)
	for _, live := range []string{token, bystander} {
		if _, err := v.Verify(live, now); err != nil {
			t.Fatal(err)
		}
	}
	delete(known, "k1")
	for range 2 {
		if _, err := v.Verify(token, now); !errors.Is(err, accesstoken.ErrInvalid) {
			t.Errorf("error is %v, want ErrInvalid", err)
		}
	}
	if _, err := v.Verify(bystander, now); err != nil {
		t.Errorf("a token of another key: %v", err)
	}
}

// raw signs any claims under any header, as an attacker with some key would.
func raw(t testing.TB, key jose.SigningKey, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestForgeriesAreRefused has RFC 9068 §4 and RFC 8725 §3 by row.
func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	key, stranger, known := newKey(t, "k1"), newKey(t, "k1"), keys{}
	known.add(key)
	v := accesstoken.NewVerifier(issuer, audiences, known)
	claims := func(change func(map[string]any)) map[string]any {
		m := map[string]any{
			"iss": issuer, "sub": "user_alice", "aud": issuer, "client_id": "client", "scope": "incidents:read",
			"org": "org_acme", "conn": uuid.NewString(), "epoch": 0, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		}
		if change != nil {
			change(m)
		}
		return m
	}
	ours := jose.SigningKey{Algorithm: jose.ES256, Key: key}
	if _, err := v.Verify(raw(t, ours, "at+jwt", claims(nil)), now); err != nil {
		t.Fatalf("the good token of this test is refused: %v", err)
	}
	public, err := json.Marshal(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, good(now), key)
	header, rest, _ := strings.Cut(signed, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	unknownKey := key
	unknownKey.KeyID = "k2"
	for name, token := range map[string]string{
		"RFC 8725 §3.1: another key under our id": sign(t, good(now), stranger),
		"RFC 8725 §3.1: alg none":                 "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + payload + ".",
		"RFC 8725 §2.1: HS256 with our public key": raw(t, jose.SigningKey{
			Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: "k1"}}, "at+jwt", claims(nil)),
		"unknown key id":                      sign(t, good(now), unknownKey),
		"RFC 9068 §4: an ID token":            raw(t, ours, "JWT", claims(nil)),
		"RFC 9068 §4: no type":                raw(t, ours, "", claims(nil)),
		"RFC 9068 §4: another issuer":         raw(t, ours, "at+jwt", claims(func(m map[string]any) { m["iss"] = "https://evil.example" })),
		"RFC 9068 §4: another audience":       raw(t, ours, "at+jwt", claims(func(m map[string]any) { m["aud"] = "https://other.example" })),
		"RFC 9068 §4: no audience":            raw(t, ours, "at+jwt", claims(func(m map[string]any) { delete(m, "aud") })),
		"two audiences":                       raw(t, ours, "at+jwt", claims(func(m map[string]any) { m["aud"] = audiences })),
		"a longer audience":                   raw(t, ours, "at+jwt", claims(func(m map[string]any) { m["aud"] = issuer + "/mcp2" })),
		"RFC 9068 §2.2: no expiry":            raw(t, ours, "at+jwt", claims(func(m map[string]any) { delete(m, "exp") })),
		"RFC 9068 §2.2: no issue time":        raw(t, ours, "at+jwt", claims(func(m map[string]any) { delete(m, "iat") })),
		"another payload under the signature": header + "." + strings.Replace(payload, payload[10:14], "AAAA", 1) + "." + signature,
		"no signature":                        header + "." + payload + ".",
		"a connection that is no UUID":        raw(t, ours, "at+jwt", claims(func(m map[string]any) { m["conn"] = "x" })),
		"not a token":                         "x",
		"empty":                               "",
		"JSON serialization":                  `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
	} {
		if _, err := v.Verify(token, now); !errors.Is(err, accesstoken.ErrInvalid) {
			t.Errorf("%s: error is %v, want ErrInvalid", name, err)
		}
	}
}

func TestDecodeReadsTheExpiredAndNobodyElses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key, known := newKey(t, "k1"), keys{}
	known.add(key)
	old := good(now.Add(-24 * time.Hour))
	got, err := accesstoken.Decode(sign(t, old, key), issuer, known)
	if err != nil || got.ConnectionID != old.ConnectionID {
		t.Errorf("expired: %v, %v", got, err)
	}
	if _, err := accesstoken.Decode(sign(t, old, newKey(t, "k1")), issuer, known); !errors.Is(err, accesstoken.ErrInvalid) {
		t.Errorf("another key: error is %v, want ErrInvalid", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	now := time.Now()
	key, known := newKey(b, "k1"), keys{}
	known.add(key)
	token := sign(b, good(now), key)
	b.Run("remembered", func(b *testing.B) {
		v := accesstoken.NewVerifier(issuer, audiences, known)
		for b.Loop() {
			if _, err := v.Verify(token, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			if _, err := accesstoken.Decode(token, issuer, known); err != nil {
				b.Fatal(err)
			}
		}
	})
}
