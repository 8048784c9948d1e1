package daruma_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

func recorded(s *shell) *daruma.Recording {
	return &daruma.Recording{Run: s.id, Tenant: "acme", Agent: "refund", Fold: daruma.FoldVersion, Events: s.events}
}

func written(t testing.TB, c *daruma.Recording) string {
	t.Helper()
	var b bytes.Buffer
	noError(t, c.Write(&b))
	return b.String()
}

// TestReplay writes, reads and replays the histories of all run scripts.
func TestReplay(t *testing.T) {
	files, _ := filepath.Glob("testdata/run/*.txt")
	for _, file := range files {
		input, _, _ := strings.Cut(read(t, file), "----\n")
		s := &script{shell: newShell(t, "run_refund"), t: t, keys: map[string]string{}}
		for line := range strings.Lines(input) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				s.do(line)
			}
		}
		if len(s.events) == 0 {
			continue
		}
		text := written(t, recorded(s.shell))
		c, err := daruma.ReadRecording(strings.NewReader(text))
		noError(t, err)
		if again := written(t, c); again != text {
			t.Errorf("%s: read and written again it is another recording", file)
		}
		if err := c.Replay(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestDivergence changes recordings as another core might have decided, and
// wants a difference that can be read.
func TestDivergence(t *testing.T) {
	story := `start models=primary,backup tools=mail:keyed
		fail unavailable
		fire
		reply call mail {}
		ok 0 sent
		reply say done`
	for name, c := range map[string]struct {
		change func(*daruma.Recording)
		want   string
	}{
		"another decision": {func(c *daruma.Recording) {
			e := kindOf(t, c, daruma.KindMove)
			e.Payload = bytes.Replace(e.Payload, []byte(`"remedy":"retry"`), []byte(`"remedy":"switch_model"`), 1)
		}, `remedy: "switch_model" → "retry"`},
		"a decision too many": {func(c *daruma.Recording) {
			e := daruma.NewEvent(daruma.KindTurnEnded, daruma.ActorCore, daruma.TurnEnded{Turn: 1})
			e.Time = epoch
			c.Events = append(c.Events[:1:1], e)
		}, "+ now      nothing"},
		"a result nobody asked for": {func(c *daruma.Recording) {
			e := kindOf(t, c, daruma.KindReplied)
			e.Payload = bytes.Replace(e.Payload, []byte("run_refund/1/3"), []byte("run_refund/1/7"), 1)
		}, "asked for are: run_refund/1/3 (call_model)"},
		"a decision of another kind": {func(c *daruma.Recording) {
			kindOf(t, c, daruma.KindMove).Kind = daruma.KindParked
		}, "+ now      move.made"},
		"a result before its intent": {func(c *daruma.Recording) {
			c.Events = slices.DeleteFunc(c.Events, func(e daruma.Event) bool { return e.Kind == daruma.KindToolCalled })
		}, "+ now      tool.called"},
		"a result of a parked run": {func(c *daruma.Recording) {
			s := played(t, "start tools=pay:payment\nreply call pay {}")
			e := daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Command: "run_refund/1/9"})
			c.Events = append(s.events, e)
		}, "(wait)"},
		"a result while a question is open": {func(c *daruma.Recording) {
			s := played(t, "start\nfail invalid")
			c.Events = append(s.events, daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: "run_refund/1/9"}))
		}, "+ now      nothing"},
		"a payload that is no JSON": {func(c *daruma.Recording) {
			kindOf(t, c, daruma.KindMove).Payload = []byte("torn")
		}, `: "torn" → {`},
		"a decision that is missing": {func(c *daruma.Recording) {
			for i, e := range c.Events {
				if e.Kind == daruma.KindMove {
					c.Events = c.Events[:i]
					return
				}
			}
		}, "- recorded nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := recorded(played(t, story).shell)
			noError(t, r.Replay())
			c.change(r)
			for i := range r.Events {
				r.Events[i].Seq = int64(i + 1)
			}
			err := r.Replay()
			d, ok := errors.AsType[*daruma.Divergence](err)
			if !ok || daruma.KindOf(err) != daruma.KindConflict {
				t.Fatalf("got %v, want a divergence", err)
			}
			if !strings.Contains(d.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to say %q", d, c.want)
			}
		})
	}
}

func kindOf(t testing.TB, c *daruma.Recording, kind daruma.EventKind) *daruma.Event {
	for i := range c.Events {
		if c.Events[i].Kind == kind {
			e := c.Events[i]
			e = daruma.Event{Seq: e.Seq, Kind: e.Kind, Time: e.Time, Actor: e.Actor, Payload: e.Payload} // as if it was read
			c.Events[i] = e
			return &c.Events[i]
		}
	}
	t.Fatalf("no event is %s", kind)
	return nil
}

// TestReadRecording refuses what was changed, cut off or is something else.
func TestReadRecording(t *testing.T) {
	c := recorded(played(t, "start tools=look:read\nreply call look {}\nok 0 found\nreply say done").shell)
	big := []byte(strings.Repeat("x", 100))
	c.Blobs = map[daruma.Digest][]byte{daruma.DigestOf(big): big}
	text := written(t, c)
	for name, bad := range map[string]struct {
		text string
		kind daruma.Kind
	}{
		"empty":           {"", daruma.KindInvalid},
		"something else":  {"hello\n", daruma.KindInvalid},
		"another object":  {"{}\n", daruma.KindInvalid},
		"a newer format":  {strings.Replace(text, "run/1", "run/9", 1), daruma.KindInvalid},
		"a bad run":       {strings.Replace(text, `"run":"run_refund"`, `"run":"a b"`, 1), daruma.KindInvalid},
		"a changed event": {strings.Replace(text, "found", "f0und", 1), daruma.KindCorrupt},
		"a changed time":  {strings.Replace(text, "03:00:00", "03:00:01", 1), daruma.KindCorrupt},
		"cut off":         {text[:len(text)/2], daruma.KindCorrupt},
		"a changed text":  {strings.Replace(text, `"bytes":"eHh4`, `"bytes":"eHh5`, 1), daruma.KindCorrupt},
		"more behind":     {text + "hello\n", daruma.KindCorrupt},
		"too many events": {strings.Replace(text, `"events":`, `"events":9`, 1), daruma.KindCorrupt},
		"fewer events":    {strings.Replace(text, fmt.Sprintf(`"events":%d`, len(c.Events)), `"events":1`, 1), daruma.KindCorrupt},
		"negative events": {strings.Replace(text, `"events":`, `"events":-`, 1), daruma.KindCorrupt},
	} {
		if _, err := daruma.ReadRecording(strings.NewReader(bad.text)); daruma.KindOf(err) != bad.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	back, err := daruma.ReadRecording(strings.NewReader(text))
	noError(t, err)
	if string(back.Blobs[daruma.DigestOf(big)]) != string(big) {
		t.Error("the text is not what it was")
	}
}

// TestRefs finds the texts that events refer to.
func TestRefs(t *testing.T) {
	a, b := daruma.DigestOf([]byte("a")), daruma.DigestOf([]byte("b"))
	c := daruma.Recording{Events: []daruma.Event{
		daruma.NewEvent(daruma.KindStarted, "x", daruma.Started{Input: daruma.Message{Ref: b}}),
		daruma.NewEvent(daruma.KindToolReplied, "x", daruma.ToolReplied{Ref: a, Text: "ref"}),
		daruma.NewEvent(daruma.KindToolReplied, "x", daruma.ToolReplied{Ref: a}),
		daruma.NewEvent(daruma.KindForked, "x", daruma.Forked{Record: map[string]daruma.Write{"k": {Ref: b}}}),
		{Kind: "x", Payload: []byte(`{"ref":7,"a":[{"ref":"none"},{"ref":""},{"refs":"` + daruma.DigestOf(nil).String() + `"}]}`)},
	}}
	want := []daruma.Digest{a, b}
	slices.SortFunc(want, func(a, b daruma.Digest) int { return bytes.Compare(a[:], b[:]) })
	if got := c.Refs(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// FuzzReadRecording reads anything; what is accepted can be written, read and
// replayed without a panic.
func FuzzReadRecording(f *testing.F) {
	for _, events := range stories(f) {
		if len(events) == 0 {
			continue
		}
		var b bytes.Buffer
		c := daruma.Recording{Run: "run_refund", Tenant: "acme", Agent: "refund", Fold: daruma.FoldVersion, Events: events}
		if err := c.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := daruma.ReadRecording(bytes.NewReader(data))
		if err != nil {
			return
		}
		c.Refs()
		_ = c.Replay()
		text := written(t, c)
		if _, err := daruma.ReadRecording(strings.NewReader(text)); err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
	})
}
