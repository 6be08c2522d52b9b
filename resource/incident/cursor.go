package incident

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"scaling.cloud/mcp/store"
)

// A cursor is the place of the last item of a page, and a digest of that and of
// what was asked: version, position, digest. The digest catches a cursor that
// was cut, edited, or brought to another query, where it would quietly skip
// items. It is no secret: a forged cursor shows nothing that a query of the same
// organization would not.
const (
	cursorVersion = 1
	cursorDigest  = 8

	// maxPosition is more than any number in a position is, and one that Postgres
	// takes for any of them: in microseconds it is the year 2112.
	maxPosition = 1 << 52
)

// encodeCursor returns the cursor of a position, made of eight bytes for each
// number, in the answer to what was asked.
func encodeCursor(asked []any, position ...int64) string {
	b := []byte{cursorVersion}
	for _, n := range position {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return base64.RawURLEncoding.EncodeToString(append(b, digest(asked, b)...))
}

// decodeCursor reads a position of n numbers. It returns false if cursor is none
// of an answer to what is asked.
func decodeCursor(asked []any, cursor string, n int) ([]int64, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return nil, false
	}
	end := 1 + 8*n
	if len(b) != end+cursorDigest || b[0] != cursorVersion {
		return nil, false
	}
	if !slices.Equal(b[end:], digest(asked, b[:end])) {
		return nil, false
	}
	position := make([]int64, n)
	for i := range position {
		n := binary.BigEndian.Uint64(b[1+8*i:])
		if n > maxPosition {
			return nil, false
		}
		position[i] = int64(n)
	}
	return position, true
}

func digest(asked []any, position []byte) []byte {
	text, err := json.Marshal(append(slices.Clip(asked), position))
	if err != nil {
		panic(err) // strings, numbers and bytes always marshal
	}
	sum := sha256.Sum256(text)
	return sum[:cursorDigest]
}

func (q ListQuery) asked(orgID string) []any {
	return []any{orgID, q.Status, q.Severity, q.From, q.To}
}

func (q ListQuery) cursor(orgID string, p store.IncidentPosition) string {
	return encodeCursor(q.asked(orgID), p.CreatedAt.UnixMicro(), int64(p.SequentialID))
}

// position reads q.Cursor. It returns false if that is no cursor of q's.
func (q ListQuery) position(orgID string) (store.IncidentPosition, bool) {
	p, ok := decodeCursor(q.asked(orgID), q.Cursor, 2)
	if !ok {
		return store.IncidentPosition{}, false
	}
	return store.IncidentPosition{CreatedAt: time.UnixMicro(p[0]), SequentialID: int(p[1])}, true
}

func (q TimelineQuery) asked(orgID string) []any {
	return []any{"timeline", orgID, q.SequentialID}
}
