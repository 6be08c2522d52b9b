package store

import "context"

// Flush is one turn of Run.
func Flush(ctx context.Context, u *Usage) { u.flush(ctx) }
