package authz

import "testing"

func TestDescriptionsHaveTheCharactersOfTheRFC(t *testing.T) {
	t.Parallel()
	for description, want := range map[string]string{
		"The body is not form-encoded.":                "The body is not form-encoded.",
		"client_id must be there (RFC 7592 §2.2).":     "client_id must be there (RFC 7592 section 2.2).",
		"The app’s “name” is \"x\\y\" …":               "The app's 'name' is 'x?y' ...",
		"A line\r\nand another, of ünknown length\x7f": "A line??and another, of ?nknown length?",
	} {
		if got := plain(description); got != want {
			t.Errorf("%q: got %q, want %q", description, got, want)
		}
	}
}
