package migrations_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"scaling.cloud/mcp/store/storetest"
)

// TestRiversTablesAreThoseThatRiverMakes has the River of go.mod make its tables
// beside ours, and compares the catalog's descriptions.
func TestRiversTablesAreThoseThatRiverMakes(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t).Pool()
	if _, err := pool.Exec(t.Context(), `CREATE SCHEMA theirs`); err != nil {
		t.Fatal(err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	describe := func(schema string) []string {
		t.Helper()
		rows, err := pool.Query(t.Context(), `
			SELECT replace(described, $1 || '.', '') FROM (
				SELECT format('%s %s: %s %s default %s', table_name, ordinal_position, column_name,
				              COALESCE(character_maximum_length::text, '') || udt_name || ' null ' || is_nullable, column_default) AS described
				FROM information_schema.columns WHERE table_schema = $1 AND table_name LIKE 'river%'
				UNION ALL
				SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
				FROM pg_constraint WHERE connamespace = $1::regnamespace AND conrelid::regclass::text LIKE '%river%'
				UNION ALL
				SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename LIKE 'river%'
				UNION ALL
				SELECT format('%s is %s, %s', relname, relkind, relpersistence)
				FROM pg_class WHERE relnamespace = $1::regnamespace AND relname LIKE 'river%'
				UNION ALL
				SELECT format('%s: %s', proname, regexp_replace(prosrc, '\s+', ' ', 'g') || provolatile::text || pg_get_function_arguments(oid))
				FROM pg_proc WHERE pronamespace = $1::regnamespace AND proname LIKE 'river%'
				UNION ALL
				SELECT format('%s in place %s: %s', typname, row_number() OVER (PARTITION BY typname ORDER BY enumsortorder), enumlabel)
				FROM pg_enum JOIN pg_type t ON t.oid = enumtypid WHERE typnamespace = $1::regnamespace
			) d
			WHERE described NOT LIKE '%river_migration%'
			ORDER BY 1`, schema)
		if err != nil {
			t.Fatal(err)
		}
		described, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return described
	}
	theirs := describe("theirs")
	if len(theirs) < 50 {
		t.Fatalf("River made only %d things: %q", len(theirs), theirs)
	}
	if diff := cmp.Diff(theirs, describe("public")); diff != "" {
		t.Errorf("River's tables and ours differ: add a migration (-River's +ours):\n%s", diff)
	}
}
