package daruma

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Tenant separates customers of one installation. The zero Tenant is the
// default one.
type Tenant string

// RunID names a run, unique in its store: "run_" and 26 characters that sort
// by the time of creation. Callers may give their own: see [RunID.Check].
type RunID string

// NewRunID makes an id of a time and ten random bytes.
func NewRunID(t time.Time, random [10]byte) RunID {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t.UnixMilli())<<16)
	copy(b[6:], random[:])
	return RunID("run_" + strings.ToLower(idEncoding.EncodeToString(b[:])))
}

// idEncoding keeps the order of bytes.
var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// Check refuses ids that are empty, longer than 128 bytes or hold anything but
// letters, digits, '.', '_', ':' and '-'.
func (id RunID) Check() error {
	ok := len(id) > 0 && len(id) <= 128
	for _, c := range []byte(id) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:-", c) >= 0)
	}
	if !ok {
		return Fail("daruma.RunID", KindInvalid, "run id %q: accepted are 1 to 128 letters, digits, '.', '_', ':' and '-'", string(id))
	}
	return nil
}

// CommandID names one command of a run: "run/turn/n". Asking a run again what
// to do gives the same ids, so a shell performs each id once.
type CommandID string

// NewCommandID returns the id of the n-th command of a turn.
func NewCommandID(run RunID, turn, n int) CommandID {
	b := make([]byte, 0, len(run)+16)
	b = append(append(b, run...), '/')
	b = append(strconv.AppendInt(b, int64(turn), 10), '/')
	return CommandID(strconv.AppendInt(b, int64(n), 10))
}

// Step returns the id without the run, "turn/n", as shown to people and in
// the evidence of signals.
func (c CommandID) Step() string {
	i := strings.LastIndexByte(string(c), '/')
	if i < 0 {
		return string(c)
	}
	if j := strings.LastIndexByte(string(c[:i]), '/'); j >= 0 {
		return string(c[j+1:])
	}
	return string(c)
}

// Actor is who did something: "agent", "system", "node:NAME", "user:NAME".
type Actor string

// Actors of the machinery itself.
const (
	ActorCore  Actor = "daruma" // decisions of [Run.Next]
	ActorShell Actor = "shell"  // results the shell commits
)

// Digest is a SHA-256. The zero Digest is none.
type Digest [sha256.Size]byte

// DigestOf returns the SHA-256 of b.
func DigestOf(b []byte) Digest { return sha256.Sum256(b) }

// IsZero reports whether the digest is none.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes hexadecimal digits, nothing for the zero Digest.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return []byte{}, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	var out Digest
	if len(b) == 2*len(out) { // hex.Decode panics on more
		if _, err := hex.Decode(out[:], b); err == nil {
			*d = out
			return nil
		}
	}
	return Fail("daruma.Digest", KindInvalid, "digest %q: accepted are 64 hexadecimal digits", excerpt(string(b), 100))
}

func appendUint(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func appendSized(b []byte, s string) []byte { return append(appendUint(b, uint64(len(s))), s...) }
