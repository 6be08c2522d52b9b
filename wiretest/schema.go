package wiretest

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schemas/*.json
var files embed.FS

// base is where the embedded schemas are, for their references to one another.
const base = "https://schemas.scaling.cloud/"

// schemas are the embedded schemas, by name. Each has been held against the
// meta-schema of 2020-12.
var schemas = sync.OnceValue(func() map[string]*jsonschema.Schema {
	entries, err := files.ReadDir("schemas")
	if err != nil {
		panic(err) // embedded
	}
	c := newCompiler()
	for _, entry := range entries {
		text, err := files.ReadFile("schemas/" + entry.Name())
		if err != nil {
			panic(err) // embedded
		}
		schema, err := parse(text)
		if err != nil {
			panic(fmt.Sprintf("wiretest: %s: %v", entry.Name(), err))
		}
		if err := c.AddResource(base+entry.Name(), schema); err != nil {
			panic(err) // each is added once
		}
	}
	compiled := map[string]*jsonschema.Schema{}
	for _, entry := range entries {
		name, _ := strings.CutSuffix(entry.Name(), ".json")
		compiled[name] = c.MustCompile(base + entry.Name())
	}
	return compiled
})

// shared is the schema that others refer to, and no document's.
const shared = "mcp"

// Kinds returns the kinds of documents that there are, sorted: all that Seen counts
// but the schemas and outputs of tools.
func Kinds() []string {
	kinds := slices.Sorted(maps.Keys(schemas()))
	return slices.DeleteFunc(kinds, func(kind string) bool { return kind == shared })
}

func newCompiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.RegisterFormat(&jsonschema.Format{Name: "web-url", Validate: webURL})
	c.UseLoader(nowhere{})
	return c
}

// nowhere is where other people's schemas are: a schema stands by itself.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) { return nil, fmt.Errorf("%s is elsewhere", url) }

// webURL is the format of URLs that we hand out: https, or http to this computer,
// without user information and fragment.
func webURL(v any) error {
	text, ok := v.(string)
	if !ok {
		return errors.New("not a string")
	}
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	address, notAnAddress := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || notAnAddress == nil && address.IsLoopback()
	switch {
	case u.Hostname() == "" || u.User != nil || strings.Contains(text, "#"):
		return errors.New("not a URL of a host alone, without user information and fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return errors.New("neither https nor http to this computer")
	}
	return nil
}

// compiled are the schemas of tools that were compiled before, by their text: every
// server of a test program lists the same.
var compiled sync.Map

// compileSchema compiles a schema that was listed, which must be valid by the
// meta-schema of 2020-12 and stand by itself.
func compileSchema(text []byte) (*jsonschema.Schema, error) {
	if known, ok := compiled.Load(string(text)); ok {
		return known.(*jsonschema.Schema), nil
	}
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	c := newCompiler()
	if err := c.AddResource(base+"listed", doc); err != nil {
		return nil, err
	}
	schema, err := c.Compile(base + "listed")
	if err != nil {
		return nil, err
	}
	compiled.Store(string(text), schema)
	return schema, nil
}

// parse reads one JSON text in UTF-8 and nothing after it (RFC 8259 §8.1).
func parse(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// problem is what is wrong with a value by a schema, each place in a line.
func problem(schema *jsonschema.Schema, v any) error {
	err := schema.Validate(v)
	if err == nil {
		return nil
	}
	_, places, _ := strings.Cut(err.Error(), "\n")
	return errors.New(places)
}
