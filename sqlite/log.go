package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/daruma-run/daruma"
)

// The write-ahead log of SQLite: a head, then frames of a head and a page each.
//
//	head   0 magic, last bit: big-endian checksums   8 page size   16 salts   24 checksum of the first 24 bytes
//	frame  0 page   4 size of the database after a commit, else 0   8 salts   16 checksum   24 the page
//
// A checksum of a frame goes on from that of the frame before.
const (
	logHead   = 32
	frameHead = 24
	logMagic  = 0x377f0682 // without the last bit
)

// checkLog finds damage in the log that a former owner left. SQLite ends the
// log at the first frame that does not match, because a power cut leaves such
// an end; so a bit that flips in the middle would silently take back what was
// committed behind it. The writer syncs each commit before it writes the next:
// where a later commit stands behind the one that is broken, that one was
// durable, and is damaged. Damage to the very last commit cannot be told from
// a power cut; but where the machine has not been started since, there was
// none, and the index that SQLite keeps of its log says how much there was.
func checkLog(path string) error {
	f, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &daruma.Failure{Op: "sqlite.Open", Kind: daruma.KindUnavailable, Err: err}
	}
	defer f.Close()
	head := make([]byte, logHead)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil // no frame follows
	}
	broken := func(format string, args ...any) error {
		err := daruma.Fail("", daruma.KindCorrupt, format, args...)
		return daruma.Fail("sqlite.Open", daruma.KindCorrupt, "%s-wal is damaged, %w: what was committed behind it would be lost", path, err)
	}
	magic := binary.BigEndian.Uint32(head)
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	sum := logSum(order, [2]uint32{}, head[:24])
	size := int64(binary.BigEndian.Uint32(head[8:]))
	if magic&^1 != logMagic || sum != sumAt(head[24:]) || size < smallest || size > 1<<16 {
		if first := make([]byte, frameHead); readFull(f, first) && !zero(first) {
			return broken("in its head")
		}
		return nil
	}
	frame := make([]byte, frameHead+size)
	at, commits := int64(0), 0 // the first frame that does not match, and the commits behind it
	for n := int64(1); readFull(f, frame); n++ {
		mine := bytes.Equal(frame[8:16], head[16:24])
		sum = logSum(order, logSum(order, sum, frame[:8]), frame[frameHead:])
		ends := binary.BigEndian.Uint32(frame[4:]) != 0
		switch stored := sumAt(frame[16:]); {
		case at == 0 && mine && sum == stored:
		case at == 0:
			at, sum = n, stored // the next goes on from what is stored here
			if !mine || !ends {
				commits-- // the commit that this frame belongs to may not have been synced
			}
		case mine && sum == stored && ends:
			commits++
			fallthrough
		default:
			sum = stored
		}
	}
	if at > 0 && (commits > 0 || at <= indexed(path, head[16:24])) {
		return broken("in frame %d", at)
	}
	return nil
}

// indexed returns how many frames of the log were committed when its owner
// died, 0 where that is not known: the system was started anew since, or the
// index is one of another log. The index begins with two copies of a head in
// the byte order of the machine: 12 is set, 16 number of frames, 32 salts.
func indexed(path string, salts []byte) int64 {
	const size, set, frames, salt = 48, 12, 16, 32
	owner, err := readOwner(path)
	if err != nil || owner.boot == "" || owner.boot != bootID() {
		return 0
	}
	f, err := os.Open(path + "-shm")
	if err != nil {
		return 0
	}
	defer f.Close()
	b := make([]byte, 2*size)
	if !readFull(f, b) || !bytes.Equal(b[:size], b[size:]) || b[set] != 1 || !bytes.Equal(b[salt:salt+8], salts) {
		return 0
	}
	return int64(binary.NativeEndian.Uint32(b[frames:]))
}

// bootID names this start of the system, "" where the system does not.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// logSum goes on with a checksum; the length of data is a multiple of 8.
func logSum(order binary.ByteOrder, sum [2]uint32, data []byte) [2]uint32 {
	for ; len(data) >= 8; data = data[8:] {
		sum[0] += order.Uint32(data) + sum[1]
		sum[1] += order.Uint32(data[4:]) + sum[0]
	}
	return sum
}

func sumAt(b []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

func readFull(r io.Reader, b []byte) bool {
	_, err := io.ReadFull(r, b)
	return err == nil
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
