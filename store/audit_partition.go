package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The audit log has a partition for each month, in UTC, named after it.
const auditPartition = "audit_events_2006_01"

// auditAhead is how many months have a partition before they begin.
const auditAhead = 2

// auditLock is the advisory lock under which partitions are made and dropped. The
// number means nothing.
const auditLock = 4_031_188_205_771_960_342

// PrepareAuditLog makes the partitions of this month and the next ones, and drops
// those that ended months ago or more, and so what was recorded then. Any replica
// may call it at any time; it should be called daily at least.
func (s *Store) PrepareAuditLog(ctx context.Context, months int, now time.Time) error {
	first := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	return wrap("preparing the audit log", s.inTx(ctx, func(tx pgx.Tx) error {
		// Recording a call waits behind this transaction once that holds its locks,
		// and must not for long.
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', '2s', true), pg_advisory_xact_lock($1)`, int64(auditLock)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = 'audit_events'::regclass`)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		exists := map[string]bool{}
		oldest := first.AddDate(0, -months, 0)
		for _, name := range names {
			exists[name] = true
			month, err := time.Parse(auditPartition, name)
			if err != nil || !month.Before(oldest) {
				continue // the default partition, or one that is kept
			}
			if _, err := tx.Exec(ctx, `DROP TABLE `+name); err != nil {
				return err
			}
		}
		for n := range auditAhead + 1 {
			month := first.AddDate(0, n, 0)
			if exists[month.Format(auditPartition)] {
				continue
			}
			if err := addAuditPartitionTx(ctx, tx, month); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM audit_events_default WHERE at < $1`, oldest)
		return err
	}))
}

// addAuditPartitionTx makes the partition of a month. What came for that month
// before it had one moves there from the default partition.
func addAuditPartitionTx(ctx context.Context, tx pgx.Tx, month time.Time) error {
	name := month.Format(auditPartition)
	from, to := "'"+month.Format(time.RFC3339)+"'", "'"+month.AddDate(0, 1, 0).Format(time.RFC3339)+"'"
	for _, statement := range []string{
		// A call that is recorded meanwhile waits before it chooses its partition. One
		// that has chosen the default one by then would be refused there.
		`LOCK TABLE ONLY audit_events IN SHARE ROW EXCLUSIVE MODE`,
		`LOCK TABLE audit_events_default IN ACCESS EXCLUSIVE MODE`,
		`CREATE TABLE ` + name + ` (LIKE audit_events INCLUDING ALL)`,
		`WITH moved AS (DELETE FROM audit_events_default WHERE at >= ` + from + ` AND at < ` + to + ` RETURNING *) INSERT INTO ` + name + ` SELECT * FROM moved`,
		`ALTER TABLE audit_events ATTACH PARTITION ` + name + ` FOR VALUES FROM (` + from + `) TO (` + to + `)`,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
