package authz

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestOnlyWhatWeMadeIsACodeOrARefreshToken: any other byte, another's key, and
// one kind in place of the other.
func TestOnlyWhatWeMadeIsACodeOrARefreshToken(t *testing.T) {
	t.Parallel()
	keys, others := &Keys{tokenMAC: [32]byte{1}}, &Keys{tokenMAC: [32]byte{2}}
	connection := uuid.New()
	refresh, code := keys.newRefreshToken(connection, 7), keys.newCode(connection)
	if got, ok := keys.parseRefreshToken(refresh.text); !ok || got != refresh {
		t.Errorf("a refresh token of ours is %+v, %v", got, ok)
	}
	if got, ok := keys.codeConnection(code); !ok || got != connection {
		t.Errorf("a code of ours is for %v, %v, want %v", got, ok, connection)
	}
	if keys.newCode(connection) == code || keys.newRefreshToken(connection, 7).text == refresh.text {
		t.Error("made twice alike")
	}
	isOurs := func(k *Keys, text string) bool {
		_, isCode := k.codeConnection(text)
		_, isRefresh := k.parseRefreshToken(text)
		return isCode || isRefresh
	}
	for _, text := range []string{refresh.text, code} {
		prefix, encoded := text[:len(codePrefix)], text[len(codePrefix):]
		other := map[string]string{codePrefix: refreshTokenPrefix, refreshTokenPrefix: codePrefix}[prefix]
		raw, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		forged := []string{"", prefix, encoded, other + encoded, text + "A", text[:len(text)-1], text + "=", " " + text, strings.ToUpper(text)}
		for i := range raw {
			raw[i] ^= 1
			forged = append(forged, prefix+base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 1
		}
		for _, f := range forged {
			if isOurs(keys, f) {
				t.Errorf("%q passes for ours; %q is", f, text)
			}
		}
		if isOurs(others, text) {
			t.Errorf("%q passes under another key", text)
		}
	}
	// A MAC of one kind under a body of the other's size.
	body := make([]byte, refreshTokenSize)
	asCode := append(body[:len(body):len(body)], keys.mac(codePrefix, body)...)
	if isOurs(keys, refreshTokenPrefix+base64.RawURLEncoding.EncodeToString(asCode)) {
		t.Error("the MAC of a code makes a refresh token")
	}
}
