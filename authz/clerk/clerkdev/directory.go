package clerkdev

import "slices"

// Directory is who exists: people, organizations, and who belongs where.
type Directory struct {
	People        []Person
	Organizations []Organization
	Members       []Member
}

// Person is a user of Clerk with one e-mail address.
type Person struct {
	ID                  string // user_ and 27 letters or digits
	Email               string
	FirstName, LastName string // either may be empty
	EmailUnverified     bool
	Banned              bool
	Deprovisioned       bool // removed by the customer's directory (SCIM)
}

// Organization is an organization of Clerk.
type Organization struct {
	ID   string // org_ and 27 letters or digits
	Slug string
	Name string
}

// Member is one person's place in one organization.
type Member struct {
	OrganizationID string
	UserID         string
	Role           string // RoleAdmin, RoleMember, or the name of a custom role
}

// The roles that every instance of Clerk has.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// The ids of the demo directory. They never change: seed data refers to them.
const (
	InstanceID = "ins_2DemoInstance00000000000000"

	AliceID = "user_2DemoAlice00000000000000001"
	BobID   = "user_2DemoBob0000000000000000002"
	CarolID = "user_2DemoCarol00000000000000003"
	DaveID  = "user_2DemoDave000000000000000004"

	AcmeID   = "org_2DemoAcme000000000000000001"
	GlobexID = "org_2DemoGlobex0000000000000002"
)

// Demo returns the demo people: Alice, who administers Acme and is a member of
// Globex, Bob of Acme, Carol, who administers Globex, and Dave, who belongs to
// no organization.
func Demo() Directory {
	return Directory{
		People: []Person{
			{ID: AliceID, Email: "alice@acme.example", FirstName: "Alice", LastName: "Archer"},
			{ID: BobID, Email: "bob@acme.example", FirstName: "Bob", LastName: "Baker"},
			{ID: CarolID, Email: "carol@globex.example", FirstName: "Carol", LastName: "Carter"},
			{ID: DaveID, Email: "dave@solo.example", FirstName: "Dave", LastName: "Dyer"},
		},
		Organizations: []Organization{
			{ID: AcmeID, Slug: "acme", Name: "Acme"},
			{ID: GlobexID, Slug: "globex", Name: "Globex"},
		},
		Members: []Member{
			{OrganizationID: AcmeID, UserID: AliceID, Role: RoleAdmin},
			{OrganizationID: AcmeID, UserID: BobID, Role: RoleMember},
			{OrganizationID: GlobexID, UserID: AliceID, Role: RoleMember},
			{OrganizationID: GlobexID, UserID: CarolID, Role: RoleAdmin},
		},
	}
}

func (d Directory) clone() Directory {
	return Directory{slices.Clone(d.People), slices.Clone(d.Organizations), slices.Clone(d.Members)}
}

// person returns the person for whom is holds, or nil. The pointer is into the
// directory: it is good until a person is deleted.
func (d *Directory) person(is func(Person) bool) *Person {
	if i := slices.IndexFunc(d.People, is); i >= 0 {
		return &d.People[i]
	}
	return nil
}

func (d *Directory) organization(is func(Organization) bool) *Organization {
	if i := slices.IndexFunc(d.Organizations, is); i >= 0 {
		return &d.Organizations[i]
	}
	return nil
}

func (d *Directory) member(organizationID, userID string) *Member {
	i := slices.IndexFunc(d.Members, func(m Member) bool {
		return m.OrganizationID == organizationID && m.UserID == userID
	})
	if i < 0 {
		return nil
	}
	return &d.Members[i]
}

func byUserID(id string) func(Person) bool { return func(p Person) bool { return p.ID == id } }
func byEmail(email string) func(Person) bool {
	return func(p Person) bool { return p.Email == email }
}

func byOrganizationID(id string) func(Organization) bool {
	return func(o Organization) bool { return o.ID == id }
}
func bySlug(slug string) func(Organization) bool {
	return func(o Organization) bool { return o.Slug == slug }
}

// mayNotSignIn reports whether Clerk refuses to sign the person in.
func (p Person) mayNotSignIn() bool { return p.Banned || p.Deprovisioned }

// name is the full name as Clerk puts it together; empty if there is none.
func (p Person) name() string {
	switch {
	case p.FirstName == "":
		return p.LastName
	case p.LastName == "":
		return p.FirstName
	}
	return p.FirstName + " " + p.LastName
}
