package authz

import (
	"net/url"
	"strings"
)

// protectedResource is the one resource that tokens are issued for, under its
// two identifiers: the MCP endpoint's URL and its origin (RFC 8707).
type protectedResource struct {
	endpoint, origin string
}

func newProtectedResource(publicURL string) protectedResource {
	return protectedResource{endpoint: publicURL + "/mcp", origin: publicURL}
}

// canonical returns the identifier that a client means by resource: case of
// scheme and host and one trailing slash are forgiven, and absence means the
// endpoint, since clients of the 2025-03-26 revision send none. Anything else is
// invalid_target (RFC 8707 §2).
func (p protectedResource) canonical(resource string) (string, error) {
	if resource == "" {
		return p.endpoint, nil
	}
	u, err := url.Parse(resource)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(resource, "#") {
		return "", refuse(codeInvalidTarget, "The resource is not one of this server's.")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch strings.TrimSuffix(u.String(), "/") {
	case p.endpoint:
		return p.endpoint, nil
	case p.origin:
		return p.origin, nil
	}
	return "", refuse(codeInvalidTarget, "The resource is not one of this server's. Its identifier is "+p.endpoint+".")
}
