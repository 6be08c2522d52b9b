package authz

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store/storetest"
)

func masterKey(t testing.TB, fill byte) MasterKey {
	t.Helper()
	key, err := ParseMasterKey(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeysAreTheSameForEveryServerWithTheMasterKey(t *testing.T) {
	t.Parallel()
	st, ctx, now := storetest.Open(t), t.Context(), time.Now()
	first, second := masterKey(t, 1), masterKey(t, 2)
	made, err := OpenKeys(ctx, st, first, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct { // in this order: opening seals anew
		name     string
		master   MasterKey
		previous *MasterKey
	}{
		{"the same master key", first, nil},
		{"the same one and another older", first, &second},
		{"a new one and the one before", second, &first},
		{"back to the old one", first, &second},
	} {
		name := row.name
		got, err := OpenKeys(ctx, st, row.master, row.previous, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.signing().KeyID != made.signing().KeyID || got.tokenMAC != made.tokenMAC || got.chain != made.chain || got.Derive("x") != made.Derive("x") {
			t.Errorf("%s: other keys", name)
		}
	}
	if _, err := OpenKeys(ctx, st, second, nil, now); !errors.Is(err, ErrMasterKey) {
		t.Errorf("another master key: error is %v, want ErrMasterKey", err)
	}
	var dump string
	if err := st.Pool().QueryRow(ctx, `SELECT string_agg(k::text, '') FROM (SELECT s::text AS k FROM signing_keys s UNION ALL SELECT s::text FROM sealed_keys s) AS rows`).Scan(&dump); err != nil {
		t.Fatal(err)
	}
	for name, plain := range map[string][]byte{"MAC key": made.tokenMAC[:], "chain key": made.chain[:]} {
		if strings.Contains(dump, fmt.Sprintf("%x", plain)) {
			t.Errorf("the %s lies open in the database", name)
		}
	}
	if strings.Contains(dump, `\"d\"`) || strings.Contains(dump, `"d"`) {
		t.Error("the private signing key lies open in the database")
	}
}

func TestSealIsBoundToKeyAndName(t *testing.T) {
	t.Parallel()
	key := masterKey(t, 1).key
	sealed := seal(key, "a", []byte("secret"))
	if plain, err := open(key, "a", sealed); err != nil || string(plain) != "secret" {
		t.Fatalf("%q, %v", plain, err)
	}
	if _, err := open(key, "b", sealed); err == nil {
		t.Error("it opens under another name")
	}
	if _, err := open(masterKey(t, 2).key, "a", sealed); err == nil {
		t.Error("it opens with another key")
	}
	sealed[len(sealed)-1]++
	if _, err := open(key, "a", sealed); err == nil {
		t.Error("it opens after it was changed")
	}
	if bytes.Equal(seal(key, "a", []byte("secret")), seal(key, "a", []byte("secret"))) {
		t.Error("the same secret seals to the same bytes")
	}
}

func TestSuccessorOpensOnlyWithTheTokenBefore(t *testing.T) {
	t.Parallel()
	k := &Keys{chain: masterKey(t, 1).key}
	sealed := k.sealSuccessor("presented", "next")
	if next, err := k.openSuccessor("presented", sealed); err != nil || next != "next" {
		t.Fatalf("%q, %v", next, err)
	}
	if _, err := k.openSuccessor("other", sealed); err == nil {
		t.Error("it opens with another token")
	}
}

func TestRefreshTokenIsOursOrNone(t *testing.T) {
	t.Parallel()
	k, other := &Keys{tokenMAC: masterKey(t, 1).key}, &Keys{tokenMAC: masterKey(t, 2).key}
	want := k.newRefreshToken(uuid.New(), 7)
	got, ok := k.parseRefreshToken(want.text)
	if !ok || got != want {
		t.Fatalf("%+v, %v, want %+v", got, ok, want)
	}
	for i := range want.text {
		changed := []byte(want.text)
		changed[i] ^= 1
		if _, ok := k.parseRefreshToken(string(changed)); ok {
			t.Fatalf("it passes with character %d changed", i)
		}
	}
	for name, text := range map[string]string{
		"another server's": other.newRefreshToken(want.connection, 7).text,
		"longer":           want.text + "A",
		"shorter":          want.text[:len(want.text)-1],
		"padded":           want.text + "=",
		"without prefix":   strings.TrimPrefix(want.text, refreshTokenPrefix),
		"empty":            "",
	} {
		if _, ok := k.parseRefreshToken(text); ok {
			t.Errorf("%s passes", name)
		}
	}
}

func TestMasterKeyIsReadStrictlyAndNeverPrinted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "not base64": "!", "short": "c2hvcnQ=", "long": base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"zeros": base64.StdEncoding.EncodeToString(make([]byte, 32)),
	} {
		if _, err := ParseMasterKey(text); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	key := masterKey(t, 0x41)
	var logged bytes.Buffer
	// Without the time: its digits may be those of a byte of the key.
	record := slog.NewRecord(time.Time{}, slog.LevelInfo, "x", 0)
	record.Add("key", key)
	if err := slog.NewTextHandler(&logged, nil).Handle(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), logged.String()} {
		if strings.Contains(printed, "65") || strings.Contains(printed, "AAAA") {
			t.Errorf("it prints as %s", printed)
		}
	}
}

func TestDerivedKeysHaveNothingInCommon(t *testing.T) {
	t.Parallel()
	k := &Keys{chain: [32]byte{1}, tokenMAC: [32]byte{2}}
	for name, other := range map[string][32]byte{
		"for another purpose":         k.Derive("other"),
		"the key it is derived from":  k.chain,
		"of another set of keys":      (&Keys{chain: [32]byte{3}}).Derive("confirmation"),
		"nothing, where it is no key": {},
	} {
		if k.Derive("confirmation") == other {
			t.Errorf("the same as the key %s", name)
		}
	}
}
