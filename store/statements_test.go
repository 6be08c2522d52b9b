package store_test

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// statements takes down what is asked of the database. It is a pgx.QueryTracer,
// and a pgx.BatchTracer.
type statements struct {
	mu  sync.Mutex
	all []statement
}

type statement struct {
	SQL  string
	Args []any
}

func (s *statements) note(sql string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, statement{sql, args})
}

// forget forgets what was asked so far.
func (s *statements) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.note(data.SQL, data.Args)
	return ctx
}
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (s *statements) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	s.note(data.SQL, data.Args)
}
func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
