package daruma_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A shell drives one run as a real one would, in memory and by hand: it stamps
// and commits what the core decides, judges at once, and keeps the rules every
// run must obey, whatever happens to it.
type shell struct {
	t      tester
	id     daruma.RunID
	run    *daruma.Run
	now    time.Time
	events []daruma.Event
	judge  []finding          // what the next judgements find
	seen   func(daruma.Event) // told of every event as it is committed
	tick   time.Duration      // how long a checkpoint takes
	strict bool               // fold the whole history anew at every step
}

// A finding waits for the judgement it belongs to.
type finding struct {
	of     string
	signal daruma.Signal
}

// tester is what the shell needs of testing.T and rapid.T.
type tester interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}

var epoch = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func newShell(t tester, id daruma.RunID) *shell {
	return &shell{t: t, id: id, run: daruma.NewRun(id, "acme"), now: epoch, strict: true, seen: func(daruma.Event) {}}
}

// commit stamps an event and folds it in.
func (s *shell) commit(e daruma.Event) {
	s.t.Helper()
	if e.Kind == daruma.KindCheckpoint {
		s.now = s.now.Add(s.tick)
	}
	e.Seq, e.Time = s.run.Head()+1, s.now
	if err := s.run.Apply(e); err != nil {
		s.t.Fatalf("apply: %v\npayload %s", err, e.Payload)
	}
	s.events = append(s.events, e)
	s.seen(e)
}

// settle commits what the core decides until only the outside can go on, and
// returns what is outstanding.
func (s *shell) settle() []daruma.Command {
	s.t.Helper()
	for range 200 {
		events, commands := s.next()
		for _, e := range events {
			s.commit(e)
		}
		if len(events) > 0 {
			again, same := s.next()
			if len(again) > 0 {
				s.t.Errorf("Next decides %d more events after its own were applied: %s %s", len(again), again[0].Kind, again[0].Payload)
			}
			if s.tick > 0 { // deadlines shrink with the run's time
				for i := range min(len(commands), len(same)) {
					commands[i].Timeout = same[i].Timeout
				}
			}
			if !reflect.DeepEqual(commands, same) {
				s.t.Errorf("commands change by applying Next's own events:\n%s", cmp.Diff(commands, same))
			}
		}
		i := slices.IndexFunc(commands, func(c daruma.Command) bool { return c.Op == daruma.OpJudge })
		if i < 0 {
			s.rules(commands)
			return commands
		}
		s.judged(commands[i])
	}
	s.t.Fatalf("the core and the judges never come to rest")
	return nil
}

// next asks the core twice and checks that asking changes nothing.
func (s *shell) next() ([]daruma.Event, []daruma.Command) {
	s.t.Helper()
	events, commands := s.run.Next()
	events2, commands2 := s.run.Next()
	if !reflect.DeepEqual(events, events2) || !reflect.DeepEqual(commands, commands2) {
		s.t.Errorf("asked twice, Next answers differently:\n%s%s", cmp.Diff(events, events2), cmp.Diff(commands, commands2))
	}
	if s.strict {
		s.refold()
	}
	return events, commands
}

// refold checks that the run is what its events say, no more and no less.
func (s *shell) refold() {
	s.t.Helper()
	fresh, err := daruma.Fold(s.id, "acme", s.events)
	if err != nil {
		s.t.Fatalf("fold: %v", err)
	}
	if !reflect.DeepEqual(fresh, s.run) {
		s.t.Errorf("the run is not what its events say (-events +run):\n%s", diffRuns(fresh, s.run))
	}
}

// diffRuns compares two runs to their last private field.
func diffRuns(a, b *daruma.Run) string {
	return cmp.Diff(a, b, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty())
}

// judged answers a judgement with the findings that wait for it.
func (s *shell) judged(c daruma.Command) {
	s.t.Helper()
	s.judge = slices.DeleteFunc(s.judge, func(f finding) bool {
		if f.of == c.Of {
			s.commit(daruma.NewEvent(daruma.KindSignal, daruma.ActorShell, f.signal))
		}
		return f.of == c.Of
	})
	s.commit(daruma.NewEvent(daruma.KindJudged, daruma.ActorShell, daruma.Judged{Command: c.ID, Of: c.Of, Mark: c.ID.Step()}))
}

// rules are true of every run at every rest.
func (s *shell) rules(commands []daruma.Command) {
	s.t.Helper()
	ids := map[daruma.CommandID]bool{}
	waits := true
	for _, c := range commands {
		if ids[c.ID] {
			s.t.Errorf("two commands are called %s", c.ID)
		}
		ids[c.ID] = true
		waits = waits && c.Op == daruma.OpWait
		if c.Op != daruma.OpWait && c.Timeout <= 0 {
			s.t.Errorf("command %s has no deadline", c.ID)
		}
		if c.Op == daruma.OpCallTool && c.Key == "" {
			s.t.Errorf("call %s has no idempotency key", c.ID)
		}
	}
	state := s.run.State()
	if s.run.Idle() != waits {
		s.t.Errorf("state %s, idle is %v but the commands are %+v", state, s.run.Idle(), commands)
	}
	if state == daruma.Running && len(commands) == 0 {
		s.t.Errorf("the run is running and nobody has anything to do")
	}
	if state.Finished() && len(commands) > 0 {
		s.t.Errorf("the run is finished and wants %+v", commands)
	}
	if state == daruma.Waiting && s.run.WakeAt().IsZero() && len(s.run.Children()) == 0 {
		s.t.Errorf("the run waits, but not until any time")
	}
	if state == daruma.ParkedState && (s.run.Parked() == nil || s.run.Parked().Text == "" || s.run.Parked().Reason == "") {
		s.t.Errorf("the run is parked and does not say why")
	}
	if p := s.run.Parked(); p != nil && (p.Reason == daruma.ParkApproval) && len(s.run.Approvals()) == 0 {
		s.t.Errorf("the run waits for an approval, and none is open")
	}
	if s.run.ID() != s.id || s.run.Tenant() != "acme" {
		s.t.Errorf("the run is %s of %s", s.run.ID(), s.run.Tenant())
	}
	if n := len(s.run.Marks()); n > daruma.MarkWindow {
		s.t.Errorf("%d marks are kept", n)
	}
}

func (s *shell) receive(p daruma.Post) {
	s.t.Helper()
	p.Tenant, p.Run, p.Time = "acme", s.id, s.now
	s.commit(daruma.NewEvent(daruma.KindReceived, daruma.ActorShell, p))
}

func payload(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// find returns the first outstanding command of an op, for a call unless it is negative.
func find(commands []daruma.Command, op daruma.Op, call int) (daruma.Command, bool) {
	for _, c := range commands {
		if c.Op == op && (call < 0 || c.Call == call) {
			return c, true
		}
	}
	return daruma.Command{}, false
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
