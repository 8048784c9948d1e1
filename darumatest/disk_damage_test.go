//go:build linux

package darumatest_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// image is the content of files, by name.
type image map[string][]byte

func (i image) apply(c change) {
	switch c.op {
	case "write":
		b := i[c.file]
		if need := int(c.at) + len(c.data); len(b) < need {
			b = append(b, make([]byte, need-len(b))...)
		}
		copy(b[c.at:], c.data)
		i[c.file] = b
	case "truncate":
		if b := i[c.file]; int64(len(b)) > c.at {
			i[c.file] = b[:c.at]
		}
	case "delete":
		delete(i, c.file)
	}
}

// cut is what a power cut after the first changes may leave: what was synced,
// and of the rest what keep says, piece by piece. As on a journaling file
// system a file is gone once anything is synced after it was deleted.
func cut(changes []change, keep func() bool) image {
	synced := map[string]int{} // the change after which nothing of a file is synced
	last := -1
	for n, c := range changes {
		if c.op == "sync" {
			synced[c.file], last = n, n
		}
	}
	out := image{}
	for n, c := range changes {
		durable := n < synced[c.file]
		switch {
		case c.op == "delete" && (n < last || keep()), durable, c.op == "truncate" && keep():
			out.apply(c)
		case c.op == "write":
			for from := 0; from < len(c.data); {
				at := c.at + int64(from)
				to := min(len(c.data), from+sector-int(at%sector))
				if keep() {
					out.apply(change{op: "write", file: c.file, at: at, data: c.data[from:to]})
				}
				from = to
			}
		}
	}
	return out
}

// write puts the files into a folder and returns the path of the journal.
func (i image) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range i {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "runs.db")
}

// furnish gives the journal rows of every kind before the run begins.
func (s *stage) furnish() {
	s.t.Helper()
	ctx := s.t.Context()
	db, err := sqlite.Open(ctx, s.path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	for n := range 20 {
		id := daruma.RunID(fmt.Sprint("other-", n))
		content := []byte(strings.Repeat(string(id), 100))
		tx := daruma.Tx{Tenant: "t", Run: id, Type: "other", Name: "other", State: daruma.ParkedState, Note: "asks", Node: "n", Release: true,
			Events:    []daruma.Event{{Kind: daruma.KindStarted, Time: time.Unix(1, 0), Actor: "user:ann", Payload: []byte(`{"n":1}`)}},
			Keys:      []daruma.KeyClaim{{Key: fmt.Sprint("key-", n), Fingerprint: daruma.DigestOf(content)}},
			Approvals: []daruma.Approval{{ID: fmt.Sprint(id, ".1"), Run: id, Tool: "pay"}},
			Spends:    []daruma.Spend{{Op: daruma.SpendDraw, Grant: fmt.Sprint("grant-", n), Budget: "b", Node: "n", Amount: 5, Limit: 1000}},
			Blobs:     []daruma.Blob{{Digest: daruma.DigestOf(content), Bytes: content}},
		}
		if err := db.Commit(ctx, []daruma.Tx{tx})[0]; err != nil {
			s.t.Fatal(err)
		}
		if _, err := db.Post(ctx, daruma.Post{Tenant: "t", Run: id, Topic: "answer", Key: "1", Payload: []byte(`{"choice":"skip"}`), By: "user:ann"}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// told is everything the journal says of itself.
func told(ctx context.Context, db *sqlite.DB) (string, error) {
	var b strings.Builder
	infos, err := db.Runs(ctx, daruma.Query{Limit: 1 << 20})
	if err != nil {
		return "", err
	}
	for _, i := range infos {
		fmt.Fprintf(&b, "%+v\n", i)
		for e, err := range db.Events(ctx, i.ID, 0) {
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%d %s %s\n", e.Seq, e.Kind, sum(e))
		}
		for _, d := range []daruma.Digest{daruma.DigestOf([]byte(strings.Repeat(string(i.ID), 100)))} {
			content, err := db.Blob(ctx, "t", d)
			if err != nil && i.Type == "other" {
				return "", err
			}
			fmt.Fprintf(&b, "%d bytes\n", len(content))
		}
	}
	posts, err := db.Posts(ctx, "")
	if err != nil {
		return "", err
	}
	approvals, err := db.Approvals(ctx, "")
	fmt.Fprintf(&b, "%+v\n%+v\n", posts, approvals)
	return b.String(), err
}

// TestDiskPowerCut builds what a power cut may leave at any moment of the
// canonical run, torn and dropped writes among it, and opens that.
func TestDiskPowerCut(t *testing.T) {
	d := mount(t)
	s := newStage(t, d, t.TempDir())
	s.record()
	s.perform(t.Context())
	s.check()
	if len(s.wrong) > 0 {
		t.Fatal(s.wrong)
	}
	images := 24
	if *diskFull {
		images = 3000
	}
	r := rand.New(rand.NewPCG(3, 4))
	tally := map[string]int{}
	for n := range images {
		at := r.IntN(len(s.changes) + 1)
		odds := []float64{0, 1, 0.5, 0.9, 0.1}[n%5]
		i := cut(s.changes[:at], func() bool { return r.Float64() < odds })
		name := fmt.Sprintf("image %d after %d of %d changes, %.0f %% of the rest kept", n, at, len(s.changes), odds*100)
		path := i.write(t)
		db, err := sqlite.Open(t.Context(), path, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := db.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		have := map[int64]string{}
		_, err = db.Run(t.Context(), canonical)
		there := err == nil
		if there {
			for e, err := range db.Events(t.Context(), canonical, 0) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
					break
				}
				if e.Kind != daruma.KindClaimed { // committed by the journal itself
					have[e.Seq] = sum(e)
				}
			}
		}
		acked := 0
		for seq, when := range s.acked {
			if when > at {
				continue
			}
			if acked++; have[seq] != s.acks[seq] {
				t.Errorf("%s: event %d was acknowledged and is lost or another", name, seq)
			}
		}
		switch {
		case !there:
			tally["before the run"]++
		case len(have) == acked:
			tally["exactly what was acknowledged"]++
		default:
			tally["what was acknowledged and a commit more"]++
		}
		if err := db.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = os.RemoveAll(filepath.Dir(path))
	}
	t.Logf("%d images: %v", images, tally)
}

// TestDiskFlips flips single bits of what a killed process left, in the
// database and in its log, and wants each of them noticed, or without
// influence on anything the journal says.
func TestDiskFlips(t *testing.T) {
	d := mount(t)
	s := newStage(t, d, t.TempDir())
	s.record()
	s.furnish()
	furnished := s.seen()
	s.perform(t.Context())
	ends := []int{furnished, len(s.changes)} // with an empty log: all is in the database
	for n := range 6 {
		ends = append(ends, furnished+(len(s.changes)-furnished)*(n+1)/8) // the power was cut at work
	}
	killed := slices.Sorted(maps.Keys(s.index))
	for n := range 6 {
		ends = append(ends, killed[len(killed)*(n+1)/8]) // killed at work: the index of the log is there
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	flips := 40
	if *diskFull {
		flips = 2000
	}
	r := rand.New(rand.NewPCG(5, 6))
	tally, harmless := map[string]int{}, map[string]int{}
	truths := map[int]string{}
	for n := range flips {
		end := ends[n%len(ends)]
		i := cut(s.changes[:end], func() bool { return true })
		truth, known := truths[end]
		if !known {
			truth = tell(t, i)
			truths[end] = truth
		}
		var files []string
		for _, name := range slices.Sorted(maps.Keys(i)) {
			if len(i[name]) > 0 {
				files = append(files, name)
			}
		}
		file := files[r.IntN(len(files))]
		if index := s.index[end]; index != nil {
			i["runs.db-shm"], i["runs.db.lock"] = index, []byte("boot "+string(boot))
		}
		bit := r.IntN(len(i[file]) * 8)
		i[file][bit/8] ^= 1 << (bit % 8)
		name := fmt.Sprintf("flip %d: bit %d of byte %d of %s (%d bytes) after %d changes", n, bit%8, bit/8, file, len(i[file]), end)
		path := i.write(t)
		outcome := func() string {
			powerCut := s.index[end] == nil
			db, err := sqlite.Open(t.Context(), path, nil)
			if err != nil {
				return "refused: " + daruma.KindOf(err).String()
			}
			defer db.Close()
			if err := db.Verify(t.Context()); err != nil {
				return "found by verification: " + daruma.KindOf(err).String()
			}
			got, err := told(t.Context(), db)
			switch {
			case err != nil:
				return "found by reading: " + daruma.KindOf(err).String()
			case got == truth:
				return "without influence"
			case strings.Contains(got, "checksum"):
				return "set aside"
			case powerCut && strings.HasSuffix(file, "-wal") && lastCommit(i[file], bit/8):
				return "last commit of the log gone, as by a power cut"
			}
			t.Errorf("%s: not noticed", name)
			return "not noticed"
		}()
		tally[outcome]++
		if outcome == "without influence" {
			harmless[strings.TrimPrefix(file, "runs.")]++
		}
		_ = os.RemoveAll(filepath.Dir(path))
	}
	t.Logf("%d flips: %v; without influence: %v", flips, tally, harmless)
}

// tell opens an image and returns what it says of itself.
func tell(t *testing.T, i image) string {
	t.Helper()
	db, err := sqlite.Open(t.Context(), i.write(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	truth, err := told(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// lastCommit reports whether a byte of a log lies in its last commit.
func lastCommit(log []byte, at int) bool {
	const head, frame = 32, 24 + 4096
	for end := head + frame; end+frame <= len(log); end += frame {
		size := log[end-frame+4 : end-frame+8]
		if end > at && string(size) != "\x00\x00\x00\x00" && string(log[end-frame+8:end-frame+16]) == string(log[16:24]) {
			// A commit ends here: is there another one behind it?
			for later := end; later+frame <= len(log); later += frame {
				if string(log[later+4:later+8]) != "\x00\x00\x00\x00" && string(log[later+8:later+16]) == string(log[16:24]) {
					return false
				}
			}
		}
	}
	return true
}
