package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// lockWait is how long a change of an incident waits for those that began
// before it. Like a creation's, each takes milliseconds.
const lockWait = 3 * time.Second

// LockIncidentTx returns an incident without its history, as those have left it
// who were changing it, and keeps others from changing it until the transaction
// ends: what is decided on what it returns still holds when it is done.
//
// ErrNotFound: the organization has no incident of that number. ErrBusy: a
// change that is under way did not end within lockWait.
func (s *Store) LockIncidentTx(ctx context.Context, tx pgx.Tx, orgID string, sequentialID int) (*Incident, error) {
	batch := &pgx.Batch{}
	batch.Queue(`SELECT set_config('lock_timeout', $1, true)`, strconv.FormatInt(lockWait.Milliseconds(), 10))
	batch.Queue(`SELECT FROM incidents WHERE org_id = $1 AND sequential_id = $2 FOR NO KEY UPDATE`, orgID, sequentialID)
	batch.Queue(`SET LOCAL lock_timeout = DEFAULT`) // what else the caller does is not bounded
	// A statement of its own, which begins when the lock is held: one that waits
	// for a row reads the rows that it is joined with as they were before.
	var row *incidentRow
	batch.Queue(`SELECT i.description,`+incidentColumns+incidentFrom+`
	WHERE i.org_id = $1 AND i.sequential_id = $2`, orgID, sequentialID).
		Query(func(rows pgx.Rows) (err error) {
			row, err = one[incidentRow](rows, nil)
			return err
		})
	err := tx.SendBatch(ctx, batch).Close()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == lockNotAvailable {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, wrap("locking incident", err)
	}
	return row.incident(), nil
}

// IncidentTx returns an incident as the transaction sees it, without its
// history, or ErrNotFound.
func (s *Store) IncidentTx(ctx context.Context, tx pgx.Tx, orgID string, id uuid.UUID) (*Incident, error) {
	row, err := one[incidentRow](tx.Query(ctx, `SELECT i.description,`+incidentColumns+incidentFrom+`
	WHERE i.org_id = $1 AND i.id = $2`, orgID, id))
	if err != nil {
		return nil, wrap("reading incident", err)
	}
	return row.incident(), nil
}
