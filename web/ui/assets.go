package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
)

//go:embed app.css
var appCSS []byte

//go:embed favicon.svg
var faviconSVG []byte

//go:embed connect.js
var connectJS []byte

//go:embed zone.js
var zoneJS []byte

// asset is an embedded file and where it is served.
type asset struct {
	content     []byte
	contentType string
	hash        string
}

var (
	stylesheet    = newAsset(minified(appCSS), "text/css; charset=utf-8")
	favicon       = newAsset(faviconSVG, "image/svg+xml")
	connectScript = newAsset(connectJS, "text/javascript; charset=utf-8")
	zoneScript    = newAsset(zoneJS, "text/javascript; charset=utf-8")
)

// minified is a stylesheet without what only its readers need.
func minified(stylesheet []byte) []byte {
	m := minify.New()
	m.AddFunc("text/css", css.Minify)
	short, err := m.Bytes("text/css", stylesheet)
	if err != nil {
		panic("web/ui: app.css: " + err.Error()) // it is embedded
	}
	return short
}

func newAsset(content []byte, contentType string) asset {
	sum := sha256.Sum256(content)
	return asset{content, contentType, hex.EncodeToString(sum[:8])}
}

// StylesheetPath is the path of the stylesheet, which changes with its content.
func StylesheetPath() string { return "/assets/" + stylesheet.hash + "/app.css" }

// FaviconPath is the path of the icon, which changes with its content.
func FaviconPath() string { return "/assets/" + favicon.hash + "/favicon.svg" }

// ConnectScriptPath is the path of the script of the page that says how to
// connect a client, which changes with its content.
func ConnectScriptPath() string { return "/assets/" + connectScript.hash + "/connect.js" }

// zoneScriptPath is the path of the script of the pages of somebody who is signed
// in, which changes with its content.
func zoneScriptPath() string { return "/assets/" + zoneScript.hash + "/zone.js" }

// Assets serves the files that pages refer to, at /assets/{hash}/{name}. A
// browser may keep them for a year.
func Assets() http.Handler {
	files := map[string]asset{"app.css": stylesheet, "favicon.svg": favicon, "connect.js": connectScript, "zone.js": zoneScript}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
		file, ok := files[name]
		if !ok {
			WriteError(w, r, http.StatusNotFound, "There is nothing here", "This file does not exist.")
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.contentType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("ETag", `"`+file.hash+`"`)
		if hash == file.hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			// While one release replaces another, a page of either may ask the
			// other for its stylesheet: a near fit beats a bare page, once.
			h.Set("Cache-Control", "no-cache")
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.content))
	})
}
