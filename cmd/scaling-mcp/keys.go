package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/store"
)

// keysCommand manages the keys that sign access tokens.
type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"List the signing keys."`
	Rotate keysRotateCommand `cmd:"" help:"Sign with the next key from now on. Tokens of the key before go on to work until they expire."`
	Retire keysRetireCommand `cmd:"" help:"Take a retired key out of the JWKS at once: every access token that it signed is refused at its next request, on every server within 15 s (elsewhere within 5 min, as the JWKS may be cached). Clients refresh and go on."`
}

// keySettings are what opening the keys takes. Opening them seals anew under
// SCALING_MASTER_KEY whatever is sealed under the key before.
type keySettings struct {
	operatorSettings  `embed:""`
	MasterKey         secret `env:"SCALING_MASTER_KEY" placeholder:"BASE64" required:"" help:"The servers' master key."`
	MasterKeyPrevious secret `env:"SCALING_MASTER_KEY_PREVIOUS" placeholder:"BASE64" help:"The master key before, while keys sealed with it remain."`
}

// withKeys runs f on the database and its keys, opened.
func (c *keySettings) withKeys(ctx context.Context, f func(*store.Store, *authz.Keys) error) error {
	master, previous, err := (&settings{MasterKey: c.MasterKey, MasterKeyPrevious: c.MasterKeyPrevious}).masterKeys()
	if err != nil {
		return err
	}
	return c.withStore(ctx, func(st *store.Store) error {
		keys, err := authz.OpenKeys(ctx, st, master, previous, time.Now())
		if err != nil {
			return err
		}
		return f(st, keys)
	})
}

type keysListCommand struct {
	keySettings    `embed:""`
	outputSettings `embed:""`
}

// listedKey is a signing key as it is shown.
type listedKey struct {
	KID     string         `json:"kid"`
	State   store.KeyState `json:"state"`
	Created time.Time      `json:"created"`
	Since   time.Time      `json:"since"`
}

func (c *keysListCommand) Run(ctx context.Context, con console) error {
	return c.withKeys(ctx, func(st *store.Store, _ *authz.Keys) error {
		keys, err := st.SigningKeys(ctx)
		if err != nil {
			return err
		}
		var listed []listedKey
		var rows [][]string
		for _, k := range keys {
			since := k.Since()
			listed = append(listed, listedKey{k.KID, k.State, k.CreatedAt.UTC(), since.UTC()})
			rows = append(rows, []string{k.KID, string(k.State), instant(&k.CreatedAt), instant(&since)})
		}
		if c.JSON {
			return writeJSON(con.out, listed)
		}
		if err := writeTable(con.out, []string{"KID", "STATE", "CREATED", "SINCE"}, rows); err != nil {
			return err
		}
		if c.MasterKeyPrevious != "" {
			_, err = fmt.Fprintln(con.out, "\nEverything is sealed under SCALING_MASTER_KEY: SCALING_MASTER_KEY_PREVIOUS is not needed any more.")
		}
		return err
	})
}

type keysRotateCommand struct {
	keySettings `embed:""`
	Force       bool `help:"Do not wait until everybody has the next key: for a key that was stolen. Other verifiers of our tokens may refuse new ones for 5 min."`
}

func (c *keysRotateCommand) Run(ctx context.Context, con console) error {
	return c.withKeys(ctx, func(st *store.Store, keys *authz.Keys) error {
		err := keys.Rotate(ctx, c.Force, time.Now())
		if young, ok := errors.AsType[*store.TooYoungError](err); ok {
			return fmt.Errorf("the next key has not been published for long enough: verifiers may not have it yet. Try again in %s, or use --force if a key was stolen", young.Wait.Round(time.Second))
		}
		if err != nil {
			return err
		}
		stored, err := st.SigningKeys(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(con.out, "%s signs from now on, on every server within %s. Tokens of the key before go on to work until they expire.\n", stored[0].KID, authz.KeysEvery)
		return err
	})
}

type keysRetireCommand struct {
	operatorSettings `embed:""`
	KID              string `arg:"" name:"kid" help:"The key, as keys list shows it."`
}

func (c *keysRetireCommand) Run(ctx context.Context, con console) error {
	return c.withStore(ctx, func(st *store.Store) error {
		err := st.DeleteRetiredSigningKey(ctx, c.KID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("there is no signing key %q: see scaling-mcp keys list", c.KID)
		case errors.Is(err, store.ErrConflict):
			return fmt.Errorf("%s signs, or is the next to sign: rotate first, until keys list shows it as retired (scaling-mcp keys rotate)", c.KID)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintf(con.out, "%s is gone. Every server refuses its access tokens within %s; clients refresh and go on.\n", c.KID, authz.KeysEvery)
		return err
	})
}
