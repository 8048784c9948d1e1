package daruma_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// FuzzLadderNext climbs any ladder that Check accepts: it ends, makes only
// moves that are possible, and never waits a negative time.
func FuzzLadderNext(f *testing.F) {
	b, _ := json.Marshal(daruma.DefaultLadder())
	f.Add(b, uint8(9), uint8(1), uint32(0xfff), int64(time.Second), "seed")
	f.Add([]byte(`{"default":[{"remedy":"retry","max":3,"first":"1h","factor":1e308,"cap":"1ms"},{"remedy":"park"}]}`), uint8(1), uint8(0), uint32(2), int64(-1), "")
	f.Add([]byte(`{"rungs":{"loop":[{"remedy":"reflect","causes":["permanent"]},{"remedy":"abort"}]}}`), uint8(5), uint8(4), uint32(0), int64(1)<<62, "x")
	f.Fuzz(func(t *testing.T, data []byte, typ, cause uint8, can uint32, after int64, seed string) {
		var l daruma.Ladder
		if json.Unmarshal(data, &l) != nil || l.Check() != nil {
			return
		}
		h := daruma.History{Signal: daruma.Signal{Type: daruma.SignalType(typ), Cause: daruma.Cause(cause), RetryAfter: daruma.Duration(after)},
			Can: daruma.RemedySet(can), Seed: seed}
		bound := 1
		for _, list := range append([][]daruma.Rung{l.Default, daruma.DefaultLadder().Default}, l.Rungs[h.Signal.Type], daruma.DefaultLadder().Rungs[h.Signal.Type]) {
			bound = max(bound, longestClimb(list))
		}
		if bound < 0 || bound > 10_000 {
			return
		}
		for range bound + 1 {
			m := l.Next(h)
			if m.Remedy != daruma.Abort && !h.Can.Has(m.Remedy) {
				t.Fatalf("%s is not possible", m.Remedy)
			}
			if m.Wait < 0 {
				t.Fatalf("waits %s", m.Wait)
			}
			if m.Remedy.Ends() {
				return
			}
			h.Tried = append(h.Tried, m)
		}
		t.Fatalf("no end after %d moves", bound+1)
	})
}

// stories are the histories of all run scripts.
func stories(f testing.TB) [][]daruma.Event {
	files, err := filepath.Glob("testdata/run/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no scripts", err)
	}
	var all [][]daruma.Event
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(b), "----\n")
		s := &script{shell: newShell(f, "run_refund"), t: f, keys: map[string]string{}}
		for line := range strings.Lines(input) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				s.do(line)
			}
		}
		all = append(all, s.events)
	}
	return all
}

// FuzzApply folds events of any content, one JSON event a line, asking Next
// after each. Whatever a shell, a journal or a human sends: an event is folded
// or refused, nothing panics, and what Next decides can be folded.
func FuzzApply(f *testing.F) {
	for _, events := range stories(f) {
		var b bytes.Buffer
		for _, e := range events {
			if e.Actor != daruma.ActorCore { // Next adds those anew
				b.Write(append(payload(e), '\n'))
			}
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := daruma.NewRun("run_refund", "acme")
		for line := range bytes.Lines(data) {
			var e daruma.Event
			if json.Unmarshal(line, &e) != nil {
				continue
			}
			e.Seq = 0
			if r.Apply(e) != nil {
				return // a run is not used after an error
			}
			events, _ := r.Next()
			for _, e := range events {
				if err := r.Apply(e); err != nil {
					t.Fatalf("what Next decided is refused: %v", err)
				}
			}
			look(r)
		}
	})
}

// TestScrambled folds the histories of all scripts with events dropped,
// doubled, swapped, moved to other histories and changed inside.
func TestScrambled(t *testing.T) {
	all := stories(t)
	refused, folded := 0, 0
	for seed := range uint64(4000) {
		dice := rand.New(rand.NewPCG(seed, 3))
		events := slices.Clone(all[dice.IntN(len(all))])
		for range 1 + dice.IntN(3) {
			i, j := dice.IntN(len(events)), dice.IntN(len(events))
			other := all[dice.IntN(len(all))]
			switch dice.IntN(5) {
			case 0:
				events = slices.Delete(events, i, i+1)
			case 1:
				events = slices.Insert(events, j, events[i])
			case 2:
				events[i], events[j] = events[j], events[i]
			case 3:
				events = slices.Insert(events, i, other[dice.IntN(len(other))])
			case 4:
				events[i].Payload = scramble(dice, events[i].Payload)
			}
			if len(events) == 0 {
				break
			}
		}
		err := fold(t, events, seed)
		if err == nil {
			folded++
			continue
		}
		refused++
		if k := daruma.KindOf(err); k != daruma.KindConflict && k != daruma.KindCorrupt && k != daruma.KindInvalid {
			t.Fatalf("seed %d: %v is of kind %s", seed, err, k)
		}
	}
	t.Logf("%d refused, %d folded", refused, folded)
}

// fold applies events without their numbers and asks Next after each.
func fold(t *testing.T, events []daruma.Event, seed uint64) error {
	defer func() {
		if r := recover(); r != nil {
			for _, e := range events {
				t.Logf("%s %.200s", e.Kind, e.Payload)
			}
			t.Logf("seed %d", seed)
			panic(r)
		}
	}()
	r := daruma.NewRun("run_refund", "acme")
	for _, e := range events {
		e.Seq = 0
		if err := r.Apply(e); err != nil {
			return err
		}
		look(r)
	}
	return nil
}

// scramble changes one number or one word of a payload.
func scramble(dice *rand.Rand, payload []byte) []byte {
	out := slices.Clone(payload)
	var at []int
	for i, c := range out {
		if c >= '0' && c <= '9' {
			at = append(at, i)
		}
	}
	if words := quoted.FindAllIndex(out, -1); len(words) > 1 && dice.IntN(2) == 0 {
		a, b := words[dice.IntN(len(words))], words[dice.IntN(len(words))]
		return slices.Concat(out[:a[0]], payload[b[0]:b[1]], out[a[1]:])
	}
	if len(at) > 0 {
		out[at[dice.IntN(len(at))]] = byte('0' + dice.IntN(10))
	}
	return out
}

var quoted = regexp.MustCompile(`"[a-z_:0-9]+"`)

// FuzzCheckpoint folds checkpoints of any content.
func FuzzCheckpoint(f *testing.F) {
	for seed := range uint64(60) {
		w := newWorld(f, seed)
		w.play()
		for _, e := range w.events {
			if e.Kind == daruma.KindCheckpoint {
				c := decode[daruma.Checkpoint](f, e)
				f.Add(e.Seq, []byte(c.State))
			}
		}
	}
	f.Add(int64(2), []byte(`{"head":1,"turn":1}`))
	f.Fuzz(func(t *testing.T, seq int64, state []byte) {
		if !json.Valid(state) {
			return
		}
		e := daruma.Event{Seq: seq, Kind: daruma.KindCheckpoint, Payload: payload(daruma.Checkpoint{Version: daruma.FoldVersion, State: state})}
		r, err := daruma.Fold("run_refund", "acme", []daruma.Event{e})
		if err != nil {
			return
		}
		events, _ := r.Next()
		for _, e := range events {
			if err := r.Apply(e); err != nil {
				t.Fatalf("what Next decided is refused: %v", err)
			}
		}
		look(r)
	})
}

// TestCheckpointRefused checks what a fold says of checkpoints it cannot use.
func TestCheckpointRefused(t *testing.T) {
	var events []daruma.Event
	at := -1
	for seed := uint64(1); at < 0; seed++ {
		w := newWorld(t, seed)
		w.play()
		events = w.events
		at = slices.IndexFunc(events, func(e daruma.Event) bool { return e.Kind == daruma.KindCheckpoint })
		if w.id != "run_random" { // a fork: its history is not that of the run folded below
			at = -1
		}
	}
	good := decode[daruma.Checkpoint](t, events[at])
	for name, c := range map[string]struct {
		seq  int64
		body []byte
		kind daruma.Kind
	}{
		"of another version":   {events[at].Seq, payload(daruma.Checkpoint{Version: daruma.FoldVersion + 1, State: good.State}), daruma.KindConflict},
		"at another place":     {events[at].Seq + 1, payload(good), daruma.KindCorrupt},
		"that is no JSON":      {events[at].Seq, []byte(`{`), daruma.KindCorrupt},
		"without a state":      {events[at].Seq, payload(daruma.Checkpoint{Version: daruma.FoldVersion, State: []byte(`{}`)}), daruma.KindCorrupt},
		"with a strange state": {events[at].Seq, payload(daruma.Checkpoint{Version: daruma.FoldVersion, State: []byte(`{"turn":"x"}`)}), daruma.KindCorrupt},
	} {
		_, err := daruma.Fold("run_random", "acme", []daruma.Event{{Seq: c.seq, Kind: daruma.KindCheckpoint, Payload: c.body}})
		if daruma.KindOf(err) != c.kind {
			t.Errorf("a checkpoint %s: %v", name, err)
		}
	}
	if _, err := daruma.Fold("run_random", "acme", append(slices.Clone(events[:at]), events[at+1:]...)); len(events) > at+1 && daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("a history with a hole: %v", err)
	}
}

// look asks a run everything it can be asked.
func look(r *daruma.Run) {
	r.State()
	r.WakeAt()
	r.Note()
	r.Results()
	r.Next()
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "1m30s", "$0.05", "12.50", "-1", "NaN", "1e300", "9223372036854775807ns", "run_01", strings.Repeat("ab", 32), "a/b/1", "//", "ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d daruma.Duration
		if d.UnmarshalText([]byte(text)) == nil {
			b, _ := d.MarshalText()
			var back daruma.Duration
			if err := back.UnmarshalText(b); err != nil || back != d {
				t.Errorf("%q is %s, read back %s, %v", text, d, back, err)
			}
		}
		var h daruma.Digest
		if h.UnmarshalText([]byte(text)) == nil {
			if b, _ := h.MarshalText(); !h.IsZero() && string(b) != strings.ToLower(text) {
				t.Errorf("%q is written %q", text, b)
			}
		}
		if m, err := daruma.ParseMoney(text); err == nil {
			if m < 0 || m > 9e9*daruma.Dollar {
				t.Errorf("%q is %d", text, m)
			}
			if back, err := daruma.ParseMoney(m.String()); err != nil || back-m > 500 || m-back > 500 {
				t.Errorf("%q is %s, read back %s, %v", text, m, back, err)
			}
		}
		if id := daruma.RunID(text); id.Check() == nil {
			c := daruma.NewCommandID(id, 3, 4)
			if c.Step() != "3/4" {
				t.Errorf("step of %s is %s", c, c.Step())
			}
		}
		daruma.CommandID(text).Step()
	})
}
