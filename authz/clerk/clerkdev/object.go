package clerkdev

import (
	"strings"
	"time"
)

// The objects of the Backend API and of webhooks, as Clerk's OpenAPI
// description bapi/2025-04-10 has them, and with what Clerk's own libraries read
// besides. Timestamps are in milliseconds.

type userObject struct {
	ID               string        `json:"id"`
	Object           string        `json:"object"`
	ExternalID       *string       `json:"external_id"`
	Username         *string       `json:"username"`
	FirstName        *string       `json:"first_name"`
	LastName         *string       `json:"last_name"`
	ImageURL         string        `json:"image_url"`
	HasImage         bool          `json:"has_image"`
	PrimaryEmailID   string        `json:"primary_email_address_id"`
	PrimaryPhoneID   *string       `json:"primary_phone_number_id"`
	PrimaryWeb3ID    *string       `json:"primary_web3_wallet_id"`
	Emails           []emailObject `json:"email_addresses"`
	Phones           []struct{}    `json:"phone_numbers"`
	Web3Wallets      []struct{}    `json:"web3_wallets"`
	Passkeys         []struct{}    `json:"passkeys"`
	ExternalAccounts []struct{}    `json:"external_accounts"`
	SAMLAccounts     []struct{}    `json:"saml_accounts"`
	Enterprise       []struct{}    `json:"enterprise_accounts"`
	Password         bool          `json:"password_enabled"`
	TwoFactor        bool          `json:"two_factor_enabled"`
	TOTP             bool          `json:"totp_enabled"`
	BackupCode       bool          `json:"backup_code_enabled"`
	MFAEnabledAt     *int64        `json:"mfa_enabled_at"`
	MFADisabledAt    *int64        `json:"mfa_disabled_at"`
	PublicMetadata   struct{}      `json:"public_metadata"`
	PrivateMetadata  struct{}      `json:"private_metadata"`
	UnsafeMetadata   struct{}      `json:"unsafe_metadata"`
	LastSignInAt     *int64        `json:"last_sign_in_at"`
	LastActiveAt     *int64        `json:"last_active_at"`
	LegalAcceptedAt  *int64        `json:"legal_accepted_at"`
	Banned           bool          `json:"banned"`
	Locked           bool          `json:"locked"`
	Deprovisioned    bool          `json:"deprovisioned"`
	LockoutExpires   *int64        `json:"lockout_expires_in_seconds"`
	AttemptsLeft     *int64        `json:"verification_attempts_remaining"`
	DeleteSelf       bool          `json:"delete_self_enabled"`
	CreateOrgs       bool          `json:"create_organization_enabled"`
	CreateOrgsLimit  *int64        `json:"create_organizations_limit"`
	PasswordAt       *int64        `json:"password_last_updated_at"`
	Locale           *string       `json:"locale"`
	Timezone         *string       `json:"timezone"`
	CreatedAt        int64         `json:"created_at"`
	UpdatedAt        int64         `json:"updated_at"`
}

type emailObject struct {
	ID           string             `json:"id"`
	Object       string             `json:"object"`
	EmailAddress string             `json:"email_address"`
	Reserved     bool               `json:"reserved"`
	Verification verificationObject `json:"verification"`
	LinkedTo     []struct{}         `json:"linked_to"`
	CreatedAt    int64              `json:"created_at"`
	UpdatedAt    int64              `json:"updated_at"`
}

type verificationObject struct {
	Object   string `json:"object"`
	Status   string `json:"status"`
	Strategy string `json:"strategy"`
	Attempts int    `json:"attempts"`
	ExpireAt int64  `json:"expire_at"`
}

type organizationObject struct {
	Object                string   `json:"object"`
	ID                    string   `json:"id"`
	Name                  string   `json:"name"`
	Slug                  string   `json:"slug"`
	ImageURL              string   `json:"image_url"`
	HasImage              bool     `json:"has_image"`
	MaxAllowedMemberships int      `json:"max_allowed_memberships"`
	AdminDelete           bool     `json:"admin_delete_enabled"`
	PublicMetadata        struct{} `json:"public_metadata"`
	PrivateMetadata       struct{} `json:"private_metadata"`
	CreatedBy             string   `json:"created_by"`
	CreatedAt             int64    `json:"created_at"`
	UpdatedAt             int64    `json:"updated_at"`
}

type membershipObject struct {
	Object          string             `json:"object"`
	ID              string             `json:"id"`
	Role            string             `json:"role"`
	RoleName        string             `json:"role_name"`
	Permissions     []string           `json:"permissions"`
	PublicMetadata  struct{}           `json:"public_metadata"`
	PrivateMetadata struct{}           `json:"private_metadata"`
	Organization    organizationObject `json:"organization"`
	PublicUserData  publicUserData     `json:"public_user_data"`
	CreatedAt       int64              `json:"created_at"`
	UpdatedAt       int64              `json:"updated_at"`
}

type publicUserData struct {
	UserID          string  `json:"user_id"`
	FirstName       *string `json:"first_name"`
	LastName        *string `json:"last_name"`
	ProfileImageURL string  `json:"profile_image_url"`
	ImageURL        string  `json:"image_url"`
	HasImage        bool    `json:"has_image"`
	Identifier      string  `json:"identifier"`
	Username        *string `json:"username"`
	Banned          bool    `json:"banned"`
	Deprovisioned   bool    `json:"deprovisioned"`
}

type sessionObject struct {
	Object       string      `json:"object"`
	ID           string      `json:"id"`
	UserID       string      `json:"user_id"`
	ClientID     string      `json:"client_id"`
	Actor        *struct{}   `json:"actor"`
	Status       string      `json:"status"` // active or revoked
	LastActiveID *string     `json:"last_active_organization_id"`
	LastActiveAt int64       `json:"last_active_at"`
	ExpireAt     int64       `json:"expire_at"`
	AbandonAt    int64       `json:"abandon_at"`
	CreatedAt    int64       `json:"created_at"`
	UpdatedAt    int64       `json:"updated_at"`
	User         *userObject `json:"user,omitempty"` // only in webhooks
}

// deletedObject stands for what is gone.
type deletedObject struct {
	Object  string `json:"object"`
	ID      string `json:"id"`
	Slug    string `json:"slug,omitempty"` // of organizations
	Deleted bool   `json:"deleted"`
}

func (s *Server) userObject(p Person) userObject {
	status := "verified"
	if p.EmailUnverified {
		status = "unverified"
	}
	at := s.issued.UnixMilli()
	emailID := "idn_" + strings.TrimPrefix(p.ID, "user_")
	none := []struct{}{}
	return userObject{
		ID:             p.ID,
		Object:         "user",
		FirstName:      nonEmpty(p.FirstName),
		LastName:       nonEmpty(p.LastName),
		PrimaryEmailID: emailID,
		Emails: []emailObject{{
			ID:           emailID,
			Object:       "email_address",
			EmailAddress: p.Email,
			Verification: verificationObject{Object: "verification_otp", Status: status, Strategy: "email_code", Attempts: 1, ExpireAt: at},
			LinkedTo:     none,
			CreatedAt:    at,
			UpdatedAt:    at,
		}},
		Phones:           none,
		Web3Wallets:      none,
		Passkeys:         none,
		ExternalAccounts: none,
		SAMLAccounts:     none,
		Enterprise:       none,
		Banned:           p.Banned,
		Deprovisioned:    p.Deprovisioned,
		DeleteSelf:       true,
		CreateOrgs:       true,
		CreatedAt:        at,
		UpdatedAt:        s.config.Now().UnixMilli(),
	}
}

func (s *Server) organizationObject(o Organization) organizationObject {
	return organizationObject{
		Object:                "organization",
		ID:                    o.ID,
		Name:                  o.Name,
		Slug:                  o.Slug,
		MaxAllowedMemberships: 100,
		AdminDelete:           true,
		CreatedAt:             s.issued.UnixMilli(),
		UpdatedAt:             s.issued.UnixMilli(),
	}
}

// membershipObject needs the lock: it looks both ends up.
func (s *Server) membershipObject(m Member) membershipObject {
	object := membershipObject{
		Object:      "organization_membership",
		ID:          "orgmem_" + strings.TrimPrefix(m.OrganizationID, "org_") + strings.TrimPrefix(m.UserID, "user_"),
		Role:        m.Role,
		RoleName:    roleName(m.Role),
		Permissions: []string{"org:sys_memberships:read"},
		CreatedAt:   s.issued.UnixMilli(),
		UpdatedAt:   s.config.Now().UnixMilli(),
	}
	if m.Role == RoleAdmin {
		object.Permissions = append(object.Permissions, "org:sys_memberships:manage", "org:sys_profile:manage", "org:sys_profile:delete")
	}
	if o := s.directory.organization(byOrganizationID(m.OrganizationID)); o != nil {
		object.Organization = s.organizationObject(*o)
	}
	if p := s.directory.person(byUserID(m.UserID)); p != nil {
		object.PublicUserData = publicUserData{
			UserID:        p.ID,
			FirstName:     nonEmpty(p.FirstName),
			LastName:      nonEmpty(p.LastName),
			Identifier:    p.Email,
			Banned:        p.Banned,
			Deprovisioned: p.Deprovisioned,
		}
	}
	return object
}

// Lifetimes of a session at Clerk, as its dashboard sets them at first.
const (
	sessionLifetime  = 7 * 24 * time.Hour
	sessionAbandoned = 30 * 24 * time.Hour
)

func (s *Server) sessionObject(one session, status string) sessionObject {
	at := s.config.Now().UnixMilli()
	return sessionObject{
		Object:       "session",
		ID:           one.id,
		UserID:       one.userID,
		ClientID:     one.clientID,
		Status:       status,
		LastActiveAt: at,
		ExpireAt:     one.startedAt.Add(sessionLifetime).UnixMilli(),
		AbandonAt:    one.startedAt.Add(sessionAbandoned).UnixMilli(),
		CreatedAt:    one.startedAt.UnixMilli(),
		UpdatedAt:    at,
	}
}

// roleName is the role's name as a person reads it: org:admin is Admin.
func roleName(role string) string {
	name := strings.TrimPrefix(role, "org:")
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
