package daruma_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// goldenRuns are played once for each version of the fold and kept for good.
// Their ladder is written out, as every shell does. Long words fill a
// checkpoint.
var goldenRuns = map[string]string{
	"plain": `start without=compact tools=look:read
		reply call look {"at":"a"} ; call look {"at":"b"}
		ok 0 one
		ok 1 two
		reply say "done"`,
	"reflect": `start without=compact models=primary,backup tools=look:read:cap=find,search:read:cap=find
		fail rate_limited retry_after=1s
		fire
		judge reply arguments_invalid call:0 "arguments of look: at is missing"
		reply call look {}
		reply call look {"at":"LONG"}
		failed 0 unavailable "down"
		fire
		failed 0 unavailable "down"
		fire
		failed 0 unavailable "down"
		fire
		failed 0 unavailable "down"
		ok 0 "LONG"
		fail unauthorized
		reply call look {"at":"c"}
		ok 0 three
		reply say "done"`,
	"approval": `start without=compact tools=pay:payment,look:read
		reply call look {"at":"LONG"}
		ok 0 one
		reply call pay {"amount":40} ; call pay {"amount":50}
		reject 0 "too much"
		approve 1
		ok 1 paid
		reply say "paid once"`,
	"doubt": `start without=compact tools=mail:ask,keyed:keyed,check:verify
		reply call mail {"to":"ann"} ; call keyed {"n":1} ; call check {"n":2}
		claim
		absent 2
		ok 2 done
		fire
		ok 1 "LONG"
		answer happened "she has it"
		reply call keyed {"n":"LONG"}
		doubt 0
		claim clean
		policy steps=20
		fire
		ok 0 done
		reply say "all done"`,
	"fork": `start without=compact models=primary,backup tools=look:read,mail:keyed
		reply call look {"at":"LONG"}
		ok 0 found
		reply call mail {"to":"ann"}
		ok 0 sent
		reply say "done"
		fork 2 models=backup input="Mail them all" limits.steps=20
		reply call mail {"to":"ann"} ; call mail {"to":"LONG"}
		approve 0
		ok 1 "sent too"
		reply call look {"at":"c"}
		ok 0 found
		reply say "done"`,
	"child": `start without=compact tools=research:keyed:agent=researcher,look:read
		reply call look {"at":"LONG"}
		ok 0 found
		reply call research {"input":"a"} ; call research {"input":"b"}
		started 0
		started 1
		child 1 failed "no sources" steps=1
		child 0 completed "a is 1" steps=1 tokens=20
		reply say "a is 1"`,
	"undo": `start without=compact tools=car:keyed:undo=uncar,uncar:keyed
		reply call car {"days":"LONG"}
		ok 0 "car 9"
		reply call car {"days":4}
		doubt 0
		fire
		ok 0 "car 10"
		cancel compensate
		ok 0 "given back"
		failed 1 invalid "no such car"
		answer skip "kept"`,
	"compact": `start without=verify compact=results windows=primary:1000 models=primary,backup tools=look:read
		reply call look {"at":"a"}
		ok 0 one
		reply call look {"at":"b"}
		ok 0 "LONG"
		reply tokens=600 call look {"at":"c"}
		ok 0 "LONG"
		fail overflow
		reply say "done"`,
	"lowered": `start without=compact lower=other_tool:target=backup:tools=look/search models=primary,backup tools=look:read:cap=find,search:read:cap=find
		reply call look {"at":"a"}
		ok 0 found
		reply call look {"at":"LONG"}
		ok 0 found
		reply say "done"`,
	"cancel": `start without=compact tools=mail:keyed
		reply call mail {"to":"LONG"}
		post cancel {"text":"enough"}
		ok 0 sent`,
}

// playGolden plays a golden run.
func playGolden(t testing.TB, lines string) *daruma.Recording {
	s := &script{shell: newShell(t, "run_refund"), t: t, keys: map[string]string{}}
	for line := range strings.Lines(lines) {
		s.do(strings.ReplaceAll(strings.TrimSpace(line), "LONG", strings.Repeat("long", 1500)))
	}
	if s.run.Finished() == nil {
		t.Fatalf("it does not end:\n%s", s.out.String())
	}
	return recorded(s.shell)
}

// TestGolden reads every run that was ever kept in testdata/golden and plays it
// again: it folds, the core decides what it decided then, and the fold from
// each checkpoint is that of the whole.
//
// -update adds the runs of a new version. What is there is never written again:
// journals of the old version are out in the world. Where a run does not replay
// any more, the core is to be mended, not the file.
func TestGolden(t *testing.T) {
	const dir = "testdata/golden"
	for name, lines := range goldenRuns {
		file := filepath.Join(dir, fmt.Sprintf("v%d-%s.jsonl", daruma.FoldVersion, name))
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if !*update {
			t.Errorf("%s is not there: the fold has a new version, go test . -run TestGolden -update keeps runs of it", file)
			continue
		}
		noError(t, os.WriteFile(file, []byte(written(t, playGolden(t, lines))), 0o644))
	}
	files, err := filepath.Glob(dir + "/*.jsonl")
	noError(t, err)
	checkpoints, forks := 0, 0
	for _, file := range files {
		f, err := os.Open(file)
		noError(t, err)
		c, err := daruma.ReadRecording(f)
		f.Close()
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := c.Replay(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		all, err := daruma.Fold(c.Run, c.Tenant, c.Events)
		noError(t, err)
		if all.Forked() != nil {
			forks++
		}
		for i, e := range c.Events {
			if e.Kind == daruma.KindCheckpoint {
				checkpoints += fromCheckpoint(t, file, c, i, all)
			}
		}
	}
	if checkpoints < 4 || forks == 0 {
		t.Errorf("%d checkpoints of this version and %d forks in %d files", checkpoints, forks, len(files))
	}
}

// fromCheckpoint folds a recording from its i-th event on, and counts it if
// its checkpoint is of this version; one of another is refused, so that the
// shell folds the whole.
func fromCheckpoint(t *testing.T, file string, c *daruma.Recording, i int, all *daruma.Run) int {
	t.Helper()
	var p daruma.Checkpoint
	noError(t, json.Unmarshal(c.Events[i].Payload, &p))
	r, err := daruma.Fold(c.Run, c.Tenant, c.Events[i:])
	if p.Version != daruma.FoldVersion {
		if daruma.KindOf(err) != daruma.KindConflict {
			t.Errorf("%s: the checkpoint of version %d gives %v", file, p.Version, err)
		}
		return 0
	}
	noError(t, err)
	if d := diffRuns(all, r); d != "" {
		t.Errorf("%s: folded from the checkpoint at %d (-all +checkpoint):\n%s", file, c.Events[i].Seq, d)
	}
	tail := daruma.Recording{Run: c.Run, Tenant: c.Tenant, Fold: c.Fold, Events: c.Events[i:]}
	if err := tail.Replay(); err != nil {
		t.Errorf("%s, from the checkpoint at %d: %v", file, c.Events[i].Seq, err)
	}
	return 1
}
