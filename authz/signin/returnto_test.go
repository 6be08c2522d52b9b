package signin

import (
	"net/url"
	"strings"
	"testing"
)

func TestReturnToStaysOnOurOrigin(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/":                                "/",
		"/settings/connections":            "/settings/connections",
		"/oauth/consent?request=a%2Fb&x=1": "/oauth/consent?request=a%2Fb&x=1",
		"/settings/connections/c?next=https://a.example/": "/settings/connections/c?next=https://a.example/",
		"/%C3%A9": "/%C3%A9",

		"/é":                                 defaultReturn, // browsers encode it
		"/\xff":                              defaultReturn, // Postgres would not store it
		"":                                   defaultReturn,
		"settings":                           defaultReturn,
		"https://evil.example/":              defaultReturn,
		"//evil.example":                     defaultReturn,
		"///evil.example":                    defaultReturn,
		"/\\evil.example":                    defaultReturn,
		"\\\\evil.example":                   defaultReturn,
		"/\t/evil.example":                   defaultReturn,
		"/\n/evil.example":                   defaultReturn,
		"\t//evil.example":                   defaultReturn,
		" //evil.example":                    defaultReturn,
		"/a\r\nSet-Cookie: a=b":              defaultReturn,
		"/a\x00b":                            defaultReturn,
		"/a\x7fb":                            defaultReturn,
		"/settings\\..\\x":                   defaultReturn,
		"javascript:alert(1)":                defaultReturn,
		"data:text/html,x":                   defaultReturn,
		"/a#//evil.example":                  defaultReturn,
		"/%zz":                               defaultReturn,
		"http:/evil.example":                 defaultReturn,
		"/" + strings.Repeat("a", maxReturn): defaultReturn,
	} {
		if got := localPath(target); got != want {
			t.Errorf("%q: got %q, want %q", target, got, want)
		}
	}
}

// Whatever a stranger sends, what comes out leads to our own host for Go's URL
// parser and, written after our origin, cannot extend the host.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "//evil.example", "/\\evil", "/a?b=c", "@evil.example", ".evil.example", ":80/", "/%2f/evil"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://mcp.example/sign-in/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got := localPath(target)
		resolved, err := base.Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if resolved.Scheme != "https" || resolved.Host != "mcp.example" {
			t.Errorf("%q leads to %s", got, resolved)
		}
		whole, err := url.Parse("https://mcp.example" + got)
		if err != nil || whole.Host != "mcp.example" || whole.User != nil {
			t.Errorf("%q written out: %v, %v", got, whole, err)
		}
		if strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q holds what browsers read in their own way", got)
		}
	})
}
