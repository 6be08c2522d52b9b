package storetest

import (
	"context"
	"log/slog"

	"scaling.cloud/mcp/migrations"
)

// templateLock is the advisory lock under which a template is made. The number
// means nothing.
const templateLock = 7_226_454_190_311_582_005

// prepareTemplate returns the name of a migrated database to clone, and makes
// it if the server has none for these migrations. Test binaries that share a
// server wait for the first of them.
func (s *postgres) prepareTemplate(ctx context.Context) (string, error) {
	name := "scaling_template_" + migrations.Digest()
	conn, err := s.admin.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return "", err
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(templateLock))

	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil {
		return "", err
	}
	if exists {
		return name, nil
	}
	// Only a template that was migrated to the end gets the name.
	unfinished := name + "_unfinished"
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + unfinished + " WITH (FORCE)",
		"CREATE DATABASE " + unfinished,
	} {
		if err := s.exec(ctx, sql); err != nil {
			return "", err
		}
	}
	if err := migrations.Up(ctx, s.url(unfinished), slog.New(slog.DiscardHandler)); err != nil {
		return "", err
	}
	// A session in the template, autovacuum's too, would make a clone wait.
	for _, sql := range []string{
		"ALTER DATABASE " + unfinished + " ALLOW_CONNECTIONS false",
		"ALTER DATABASE " + unfinished + " RENAME TO " + name,
	} {
		if err := s.exec(ctx, sql); err != nil {
			return "", err
		}
	}
	return name, nil
}
