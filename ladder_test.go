package daruma_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestLadder plays testdata/ladder/*.txt: each line is a history, beneath
// "----" stands the move the ladder makes of it.
func TestLadder(t *testing.T) {
	files, _ := filepath.Glob("testdata/ladder/*.txt")
	if len(files) < 5 {
		t.Fatalf("only %d scripts", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			golden(t, file, func(input string) string { return climbed(t, input) })
		})
	}
}

// climbed plays one script: "ladder" lines set the ladder, "signal" begins a
// fall, "next" makes and keeps a move, "climb" moves until the ladder ends.
func climbed(t *testing.T, input string) string {
	var out strings.Builder
	ladder, h := daruma.DefaultLadder(), daruma.History{}
	move := func() daruma.Move {
		m := ladder.Next(h)
		h.Tried = append(h.Tried, m)
		fmt.Fprintf(&out, "  %s, rung %d, try %d", m.Remedy, m.Rung, m.Try)
		if m.Wait > 0 {
			fmt.Fprintf(&out, ", wait %s", m.Wait)
		}
		out.WriteString("\n")
		return m
	}
	for line := range strings.Lines(input) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fmt.Fprintf(&out, "> %s\n", line)
		words := split(line)
		switch words[0] {
		case "default":
			ladder = daruma.DefaultLadder()
		case "without":
			var r daruma.Remedy
			noError(t, r.UnmarshalText([]byte(words[1])))
			ladder = ladder.Without(r)
		case "rungs":
			ladder = daruma.Ladder{Default: rungs(t, words[1:])}
			if err := ladder.Check(); err != nil {
				fmt.Fprintf(&out, "  refused: %v\n", err)
			}
		case "signal":
			h = daruma.History{Can: all(), Seed: "seed"}
			noError(t, h.Signal.Type.UnmarshalText([]byte(words[1])))
			for _, w := range words[2:] {
				name, value, _ := strings.Cut(w, "=")
				switch name {
				case "cause":
					noError(t, h.Signal.Cause.UnmarshalText([]byte(value)))
				case "retry_after":
					noError(t, h.Signal.RetryAfter.UnmarshalText([]byte(value)))
				case "cannot":
					for text := range strings.SplitSeq(value, ",") {
						var r daruma.Remedy
						noError(t, r.UnmarshalText([]byte(text)))
						h.Can &^= daruma.Of(r)
					}
				case "seed":
					h.Seed = value
				}
			}
		case "next":
			move()
		case "climb":
			for range 100 {
				if move().Remedy.Ends() {
					break
				}
			}
		default:
			t.Fatalf("verb %q is unknown", words[0])
		}
	}
	return out.String()
}

// rungs reads "retry:max=3:first=1s:cause=transient park".
func rungs(t *testing.T, words []string) []daruma.Rung {
	var list []daruma.Rung
	for _, w := range words {
		parts := strings.Split(w, ":")
		var r daruma.Rung
		noError(t, r.Remedy.UnmarshalText([]byte(parts[0])))
		for _, p := range parts[1:] {
			name, value, _ := strings.Cut(p, "=")
			switch name {
			case "max":
				r.Max, _ = strconv.Atoi(value)
			case "first":
				noError(t, r.First.UnmarshalText([]byte(value)))
			case "cap":
				noError(t, r.Cap.UnmarshalText([]byte(value)))
			case "factor":
				r.Factor, _ = strconv.ParseFloat(value, 64)
			case "cause":
				var c daruma.Cause
				noError(t, c.UnmarshalText([]byte(value)))
				r.Causes = append(r.Causes, c)
			}
		}
		list = append(list, r)
	}
	return list
}

func all() daruma.RemedySet { return daruma.Of(daruma.Remedies()...) }

func causes() []daruma.Cause {
	return []daruma.Cause{daruma.CauseUnknown, daruma.CauseTransient, daruma.CauseResource, daruma.CauseDependency, daruma.CausePermanent, daruma.CauseConfiguration}
}

// TestLadderEnds climbs the default ladder from every signal, subject, cause
// and every set of possible remedies: finitely many moves lead to an end, no
// impossible move is made but Abort, and no rung is taken more than its Max.
func TestLadderEnds(t *testing.T) {
	ladder := daruma.DefaultLadder()
	noError(t, ladder.Check())
	count, longest := 0, 0
	for _, typ := range daruma.SignalTypes() {
		rungs, ok := ladder.Rungs[typ]
		if !ok {
			rungs = ladder.Default
		}
		bound := longestClimb(rungs)
		used := []daruma.Remedy{}
		for _, r := range rungs {
			if !slices.Contains(used, r.Remedy) {
				used = append(used, r.Remedy)
			}
		}
		for _, subject := range []string{daruma.SubjectModel, daruma.SubjectReply, daruma.SubjectRun, daruma.CallSubject(0)} {
			for _, cause := range causes() {
				for set := range 1 << len(used) { // every set of what this list can do
					var can daruma.RemedySet
					for i, r := range used {
						if set&(1<<i) != 0 {
							can |= daruma.Of(r)
						}
					}
					h := daruma.History{Signal: daruma.Signal{Type: typ, Subject: subject, Cause: cause}, Can: can, Seed: "s"}
					n := 0
					for {
						m := ladder.Next(h)
						n++
						if m.Remedy != daruma.Abort && !can.Has(m.Remedy) {
							t.Fatalf("%s of %s, %s: %s is not possible", typ, subject, cause, m.Remedy)
						}
						if m.Signal != typ || m.Subject != subject {
							t.Fatalf("move is about %s of %s, not %s of %s", m.Signal, m.Subject, typ, subject)
						}
						if m.Rung >= 0 && m.Try > max(rungs[m.Rung].Max, 1) && m.Rung != len(rungs)-1 {
							t.Fatalf("%s: rung %d is taken %d times", typ, m.Rung, m.Try)
						}
						if m.Remedy.Ends() {
							break
						}
						if n > bound {
							t.Fatalf("%s of %s, %s, can %b: no end after %d moves", typ, subject, cause, can, n)
						}
						h.Tried = append(h.Tried, m)
					}
					longest = max(longest, n)
					count++
				}
			}
		}
	}
	t.Logf("%d climbs, the longest has %d moves", count, longest)
}

// longestClimb bounds the moves of a list of rungs: each rung Max times, and
// the retries anew after each switch of model or tool.
func longestClimb(rungs []daruma.Rung) int {
	retries, switches, others := 0, 0, 1
	for _, r := range rungs {
		switch times := max(r.Max, 1); r.Remedy {
		case daruma.Retry:
			retries += times
		case daruma.SwitchModel, daruma.SwitchTool:
			switches += times
		default:
			others += times
		}
	}
	return retries*(switches+1) + switches + others
}

// TestLadderRetries gives every model and tool its own retries.
func TestLadderRetries(t *testing.T) {
	for typ, remedy := range map[daruma.SignalType]daruma.Remedy{daruma.ProviderUnavailable: daruma.SwitchModel, daruma.ToolFailed: daruma.SwitchTool} {
		h := daruma.History{Signal: daruma.Signal{Type: typ, Cause: daruma.CauseTransient}, Can: daruma.Of(daruma.Retry, remedy, daruma.Degrade)}
		var made []int // retries before each switch
		retries := 0
		for range 3 {
			for {
				m := daruma.DefaultLadder().Next(h)
				h.Tried = append(h.Tried, m)
				if m.Remedy != daruma.Retry {
					break
				}
				retries++
				if m.Try != retries {
					t.Errorf("%s: retry %d is called try %d", typ, retries, m.Try)
				}
			}
			made, retries = append(made, retries), 0
		}
		if made[0] == 0 || made[1] != made[0] || made[2] != made[0] {
			t.Errorf("%s: retries before each %s: %v", typ, remedy, made)
		}
	}
}

// TestLadderFirst pins the first move of the default ladder for every signal
// and cause, in testdata/ladder/first.golden.
func TestLadderFirst(t *testing.T) {
	golden(t, "testdata/ladder/first.golden", func(string) string {
		var out strings.Builder
		for _, typ := range daruma.SignalTypes() {
			fmt.Fprintf(&out, "%s:", typ)
			for _, c := range causes() {
				m := daruma.DefaultLadder().Next(daruma.History{Signal: daruma.Signal{Type: typ, Cause: c}, Can: all()})
				fmt.Fprintf(&out, " %s=%s", c, m.Remedy)
			}
			out.WriteString("\n")
		}
		return out.String()
	})
}

func TestLadderCheck(t *testing.T) {
	stop := daruma.Rung{Remedy: daruma.Abort}
	for name, l := range map[string]daruma.Ladder{
		"rungs":          {Rungs: map[daruma.SignalType][]daruma.Rung{daruma.Loop: {}}},
		"ends with":      {Default: []daruma.Rung{{Remedy: daruma.Retry}}},
		"after":          {Default: []daruma.Rung{{Remedy: daruma.Park}, stop}},
		"every cause":    {Default: []daruma.Rung{{Remedy: daruma.Abort, Causes: []daruma.Cause{daruma.CauseTransient}}}},
		"remedy":         {Default: []daruma.Rung{{Remedy: 99}, stop}},
		"negative":       {Default: []daruma.Rung{{Remedy: daruma.Retry, Max: -1}, stop}},
		"first":          {Default: []daruma.Rung{{Remedy: daruma.Retry, First: -1}, stop}},
		"factor":         {Default: []daruma.Rung{{Remedy: daruma.Retry, Factor: math.NaN()}, stop}},
		"infinite":       {Default: []daruma.Rung{{Remedy: daruma.Retry, Factor: math.Inf(1)}, stop}},
		"must not be":    {Default: []daruma.Rung{{Remedy: daruma.Retry, Factor: -1}, stop}},
		"cap":            {Default: []daruma.Rung{{Remedy: daruma.Retry, Cap: -1}, stop}},
		"compensate":     {Default: []daruma.Rung{{Remedy: daruma.Retry, Compensate: true}, stop}},
		"loop":           {Rungs: map[daruma.SignalType][]daruma.Rung{daruma.Loop: {{Remedy: daruma.Retry}}}},
		"unknown":        {Rungs: map[daruma.SignalType][]daruma.Rung{0: {stop}}},
		"SignalType(99)": {Rungs: map[daruma.SignalType][]daruma.Rung{99: {stop}}},
	} {
		err := l.Check()
		if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, l := range []daruma.Ladder{{}, daruma.DefaultLadder(), {Default: []daruma.Rung{stop}}, {Default: []daruma.Rung{{Remedy: daruma.Abort, Compensate: true}}}} {
		noError(t, l.Check())
	}
	if !(daruma.Ladder{}).IsZero() || daruma.DefaultLadder().IsZero() {
		t.Error("only the zero ladder is zero")
	}
}

func TestLadderWithout(t *testing.T) {
	full := daruma.DefaultLadder()
	for _, gone := range daruma.Remedies() {
		less := full.Without(gone)
		noError(t, less.Check())
		for typ, rungs := range less.Rungs {
			for i, r := range rungs {
				if r.Remedy == gone && !(gone == daruma.Abort && i == len(rungs)-1) {
					t.Errorf("without %s, %s still has it", gone, typ)
				}
			}
		}
	}
	if daruma.DefaultLadder().Rungs[daruma.Loop][0].Remedy != full.Rungs[daruma.Loop][0].Remedy || len(full.Rungs) != len(full.Without(daruma.Retry).Rungs) {
		t.Error("Without changed the ladder it was asked of")
	}
	noError(t, daruma.Ladder{}.Without(daruma.Retry).Check())
}

// TestLadderWait checks that waits are the same for the same seed, spread over
// their range for others, never above the cap, and never below what the other
// side asked for.
func TestLadderWait(t *testing.T) {
	s := daruma.Duration(time.Second)
	l := daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Retry, Max: 40, First: s, Cap: 10 * s}, {Remedy: daruma.Abort}}}
	h := daruma.History{Signal: daruma.Signal{Type: daruma.ToolFailed}, Can: all()}
	for try := range 40 {
		low, high, sum := daruma.Duration(math.MaxInt64), daruma.Duration(0), daruma.Duration(0)
		ceiling := min(s<<min(try, 30), 10*s)
		for i := range 200 {
			h.Seed = fmt.Sprint(try, i)
			m := l.Next(h)
			if again := l.Next(h); again.Wait != m.Wait {
				t.Fatalf("the same seed waits %s and %s", m.Wait, again.Wait)
			}
			if m.Wait < 0 || m.Wait > ceiling+daruma.Duration(time.Millisecond) {
				t.Fatalf("try %d waits %s, more than %s", try, m.Wait, ceiling)
			}
			low, high, sum = min(low, m.Wait), max(high, m.Wait), sum+m.Wait
		}
		if low > ceiling/10 || high < ceiling*9/10 || sum/200 < ceiling*4/10 || sum/200 > ceiling*6/10 {
			t.Errorf("try %d: waits from %s to %s, mean %s, are no full jitter below %s", try, low, high, sum/200, ceiling)
		}
		h.Tried = append(h.Tried, daruma.Move{Remedy: daruma.Retry})
	}
	h.Tried = nil
	for after, want := range map[daruma.Duration]daruma.Remedy{0: daruma.Retry, 9 * s: daruma.Retry, 10 * s: daruma.Retry, 10*s + 1: daruma.Abort,
		math.MaxInt64: daruma.Abort, -s: daruma.Retry, math.MinInt64: daruma.Retry} {
		h.Signal.RetryAfter = after
		m := l.Next(h)
		if m.Remedy != want {
			t.Errorf("asked to wait %s: %s, want %s", after, m.Remedy, want)
		}
		if m.Remedy == daruma.Retry && (m.Wait < after || m.Wait < 0 || m.Wait > max(10*s, after)) {
			t.Errorf("asked to wait %s: waits %s", after, m.Wait)
		}
	}
	far := daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Retry, First: math.MaxInt64, Factor: 1e300, Cap: math.MaxInt64}, {Remedy: daruma.Abort}}}
	h.Signal.RetryAfter = math.MaxInt64
	if m := far.Next(h); m.Wait <= 0 {
		t.Errorf("the longest wait overflows to %s", m.Wait)
	}
}
