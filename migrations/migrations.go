// Package migrations holds the database schema as numbered, forward-only SQL
// files and applies them. It knows no table by name: what the tables mean is
// package store's subject.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/jackc/pgx/v5"
)

//go:embed *.sql
var files embed.FS

// Up applies every migration that the database at url has not seen. Of several
// processes that call it at once, one migrates and the others wait: goose holds
// a Postgres advisory lock.
func Up(ctx context.Context, url string, log *slog.Logger) error {
	db, err := open(url)
	if err != nil {
		return err
	}
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("migrations: creating the lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker), goose.WithSlog(log))
	if err != nil {
		return fmt.Errorf("migrations: reading the files: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: applying: %w", err)
	}
	return nil
}

// Digest is a short hash of all migrations, for names of databases that are made
// from them.
func Digest() string {
	sum := sha256.New()
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err) // the pattern is good
	}
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// Pending reports whether the database at url lacks a migration that this
// program carries.
func Pending(ctx context.Context, url string) (bool, error) {
	db, err := open(url)
	if err != nil {
		return false, err
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		return false, fmt.Errorf("migrations: reading the files: %w", err)
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return false, fmt.Errorf("migrations: comparing: %w", err)
	}
	return pending, nil
}

func open(url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return stdlib.OpenDB(*config), nil
}
