package ui

// ConsentView is what the consent page says.
type ConsentView struct {
	ClientName string
	// Verified: the client's identity was proven for this very request.
	Verified bool
	// RedirectHost and Loopback are what RedirectPlace says of the redirect URI.
	RedirectHost string
	Loopback     bool
	// DocumentHost is where the client describes itself, if it does so at a URL.
	DocumentHost string

	Account Account
	// SwitchAccountURL leads to this page again, signed in as somebody else.
	SwitchAccountURL string

	Orgs   []OrgChoice
	Scopes []ScopeChoice

	// Error is a message above the form that came back; empty the first time.
	Error string

	// Action is where the form is posted. It sends Handle as request, the
	// organization as org_id, each scope as scope, and the button pressed as
	// action: allow or deny.
	Action, Handle string
}

// OrgChoice is one organization of the person.
type OrgChoice struct {
	ID, Name string
	Checked  bool
	// Disabled: it cannot be chosen, for Reason.
	Disabled bool
	Reason   string
}

// ScopeChoice is one thing that the client asks to be allowed.
type ScopeChoice struct {
	Name, Words string
	Checked     bool
}

func (v ConsentView) client() Client {
	return Client{Name: v.ClientName, Verified: v.Verified, Host: v.RedirectHost, Local: v.Loopback}
}

// barred reports whether there are organizations, and none that lets the client
// connect: then there is nothing to decide.
func (v ConsentView) barred() bool { return len(v.Orgs) > 0 && !v.allowable() }

// barredHeading says so.
func (v ConsentView) barredHeading() string {
	if v.client().proven() {
		return v.ClientName + " is not allowed"
	}
	return "“" + v.ClientName + "” is not allowed"
}

// heading asks the question. The name of a client that nobody vouches for
// stands in quotation marks: it is a claim.
func (v ConsentView) heading() string {
	if v.client().proven() {
		return "Connect " + v.ClientName + "?"
	}
	return "Connect “" + v.ClientName + "”?"
}

// allowable reports whether there is an organization to allow it for.
func (v ConsentView) allowable() bool {
	for _, org := range v.Orgs {
		if !org.Disabled {
			return true
		}
	}
	return false
}
