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

// A cursor is the place of the last incident of a page, and a digest of that
// and of what was asked: version, microseconds, sequential id, digest. The
// digest catches a cursor that was cut, edited, or brought to another query,
// where it would quietly skip incidents. It is no secret: a forged cursor shows
// nothing that a query of the same organization would not.
const (
	cursorVersion  = 1
	cursorPosition = 1 + 8 + 8
	cursorDigest   = 8
)

func (q ListQuery) cursor(orgID string, p store.IncidentPosition) string {
	b := make([]byte, 0, cursorPosition+cursorDigest)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(p.CreatedAt.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(p.SequentialID))
	return base64.RawURLEncoding.EncodeToString(append(b, q.digest(orgID, b)...))
}

// position reads q.Cursor. It returns false if that is no cursor of q's.
func (q ListQuery) position(orgID string) (store.IncidentPosition, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil {
		return store.IncidentPosition{}, false
	}
	if len(b) != cursorPosition+cursorDigest || b[0] != cursorVersion {
		return store.IncidentPosition{}, false
	}
	if !slices.Equal(b[cursorPosition:], q.digest(orgID, b[:cursorPosition])) {
		return store.IncidentPosition{}, false
	}
	return store.IncidentPosition{
		CreatedAt:    time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))),
		SequentialID: int(binary.BigEndian.Uint64(b[9:])),
	}, true
}

func (q ListQuery) digest(orgID string, position []byte) []byte {
	asked, err := json.Marshal([]any{orgID, q.Status, q.Severity, q.From, q.To, position})
	if err != nil {
		panic(err) // strings and bytes always marshal
	}
	sum := sha256.Sum256(asked)
	return sum[:cursorDigest]
}
