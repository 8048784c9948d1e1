package darumatest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// The crash harness: the real process is killed with SIGKILL, started again,
// killed again; then the journal and the ledger of an independent witness must
// agree with what was promised.
//
//	go test ./darumatest -run Crash -crash.kills=300 -v
var (
	killsFlag = flag.Int("crash.kills", 20, "how often the process is killed; from 300 on every phase of every effect class is hit 5 times")
	seedFlag  = flag.Uint64("crash.seed", 0, "seed of the kills; 0 takes one from the clock")
)

const jobVariable = "DARUMA_CRASH_JOB"

// TestMain is also the main function of the processes that are killed.
func TestMain(m *testing.M) {
	text := os.Getenv(jobVariable)
	if text == "" {
		os.Exit(withStore(m))
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	switch {
	case err != nil:
	case j.Role == "witness":
		err = witnessMain(j)
	default:
		err = workerMain(j)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// campaign is one journal, its witness and its human, and what was promised.
type campaign struct {
	t     testing.TB
	dir   string
	human *human
	addr  string
	gen   int

	logged bool // one history is enough

	mu   sync.Mutex
	acks map[daruma.RunID]map[int64]string // content of every acknowledged event
	done map[string]int                    // orders whose result is durable, and since which process
}

// child starts this binary again with a job, under the command in front.
func child(j job, front ...string) (*exec.Cmd, io.WriteCloser, io.ReadCloser, *bytes.Buffer, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	front = append(front, os.Args[0])
	cmd := exec.Command(front[0], front[1:]...)
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text), "GOTRACEBACK=all")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	said := &bytes.Buffer{}
	cmd.Stderr = said
	return cmd, in, out, said, cmd.Start()
}

func newCampaign(t testing.TB) *campaign {
	c := &campaign{t: t, dir: t.TempDir(), acks: map[daruma.RunID]map[int64]string{}, done: map[string]int{}}
	cmd, in, out, said, err := child(job{Role: "witness", Dir: c.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the witness: %v\n%s", err, said)
		}
	})
	c.addr, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c.addr = strings.TrimSpace(c.addr)
	c.human = newHuman(c.dir, c.addr)
	return c
}

// life is one process of the worker, from its start to its end.
type life struct {
	job    job
	begin  time.Time
	cmd    *exec.Cmd
	stdin  io.Closer
	said   *bytes.Buffer
	got    chan report // everything but acks; closed at the end of the output
	killed bool        // by the test
	stop   context.CancelFunc
	busy   sync.WaitGroup
}

// start begins a life. The human looks after it unless alone.
func (c *campaign) start(j job, alone bool, front ...string) *life {
	c.t.Helper()
	c.gen++
	j.Role, j.Dir, j.Journal, j.Witness, j.Gen = "worker", c.dir, journalIn(c.dir), c.addr, c.gen
	l := &life{job: j, got: make(chan report, 1<<12), begin: time.Now()}
	cmd, in, out, said, err := child(j, front...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.watch(l, cmd, in, out, said)
	if !alone {
		ctx, stop := context.WithCancel(context.Background())
		l.stop = stop
		l.busy.Go(func() { c.human.work(ctx, j.Gen) })
	}
	return l
}

func (c *campaign) watch(l *life, cmd *exec.Cmd, in io.Closer, out io.Reader, said *bytes.Buffer) {
	l.cmd, l.stdin, l.said, l.stop = cmd, in, said, func() {}
	l.busy.Go(func() {
		defer close(l.got)
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<24)
		for in.Scan() {
			var r report
			if json.Unmarshal(in.Bytes(), &r) != nil {
				continue // cut by the kill: nobody was told
			}
			if r.K == "ack" {
				c.acknowledged(r)
				continue
			}
			l.got <- r
		}
	})
}

func (c *campaign) acknowledged(r report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acks[r.Run] == nil {
		c.acks[r.Run] = map[int64]string{}
	}
	for i, s := range r.Sums {
		seq := r.Seq + int64(i)
		if was, ok := c.acks[r.Run][seq]; ok && was != s {
			c.t.Errorf("event %d of %s was acknowledged twice, with other content", seq, r.Run)
		}
		c.acks[r.Run][seq] = s
	}
	for _, id := range r.Done {
		c.done[string(r.Run)+"/"+id] = r.Gen
	}
}

// wait returns the next report of a kind, or false at the end of the life or
// when the time is over.
func (l *life) wait(d time.Duration, kinds ...string) (report, bool) {
	over := time.After(d)
	for {
		select {
		case r, ok := <-l.got:
			if !ok {
				return report{}, false
			}
			for _, k := range kinds {
				if r.K == k {
					return r, true
				}
			}
		case <-over:
			return report{}, false
		}
	}
}

// kill ends the life by its pid.
func (l *life) kill() {
	l.killed = true
	_ = l.cmd.Process.Kill() // it may be dead
}

// end waits for the death. It fails the test where the process ended by an
// error of its own.
func (c *campaign) end(l *life) {
	c.t.Helper()
	for range l.got { // what it had to say
	}
	l.stop()
	l.busy.Wait()
	err := l.cmd.Wait()
	l.stdin.Close()
	if l.said.Len() > 0 {
		c.t.Logf("process %d: %s", l.job.Gen, tail(l.said.String()))
	}
	if state := l.cmd.ProcessState; state.Exited() && state.ExitCode() != 0 {
		c.t.Fatalf("process %d of the worker: %v\n%s", l.job.Gen, err, tail(l.said.String()))
	}
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// finish lets every run come to its end.
func (c *campaign) finish() report {
	c.t.Helper()
	j := job{}
	l := c.start(j, false)
	if _, ok := l.wait(60*time.Second, "idle"); !ok {
		l.kill()
		c.end(l)
		c.t.Fatalf("the runs do not come to their end: %s", c.states())
	}
	l.stdin.Close()
	r, ok := l.wait(20*time.Second, "end")
	if !ok {
		l.kill()
		c.t.Error("the worker did not stop")
	}
	c.end(l)
	return r
}

// TestCrashCampaign kills one workload again and again: at every phase of
// every class of effects, and at random.
func TestCrashCampaign(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%d kills, -crash.seed=%d", *killsFlag, seed)
	random := rand.New(rand.NewPCG(seed, 1))
	type cell struct{ phase, class string }
	var plan []target
	need := map[cell]int{}
	want := func(p, c string, times int) {
		need[cell{p, c}] = times
		for range times {
			plan = append(plan, target{Phase: p, Class: c, N: 1 + random.IntN(3), Seed: len(plan)})
		}
	}
	if per := *killsFlag * 7 / 10 / (len(phases) * len(classes)); per > 0 {
		for _, p := range phases {
			for _, c := range classes {
				want(p, c, per)
			}
		}
	} else {
		for i, c := range classes { // every phase and every class once
			want(phases[i%len(phases)], c, 1)
		}
	}
	for len(plan) < *killsFlag {
		plan = append(plan, target{})
	}
	random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })

	c := newCampaign(t)
	hits, hows, kills := map[cell]int{}, map[string]int{}, 0
	began := time.Now()
	for n := 0; n < len(plan); n++ {
		x := plan[n]
		j := job{Kinds: []string{"long", "burst", "burst", "burst", "slow", "burst"}, Alive: 6, Most: 1 << 20, Target: x}
		l := c.start(j, x.N == 0 && random.IntN(5) == 0)
		if _, ok := l.wait(20*time.Second, "ready"); !ok {
			l.kill()
			c.end(l)
			t.Fatalf("process %d does not start", c.gen)
		}
		patience := time.Duration(random.IntN(150)) * time.Millisecond
		if x.N > 0 {
			patience = 3 * time.Second
		}
		r, ok := l.wait(patience, "kill")
		if !ok {
			l.kill()
		}
		c.end(l)
		kills++
		if x.N == 0 {
			hows["random"]++
			continue
		}
		if !ok {
			hows["missed"]++
			x.N = 1
			if len(plan) < *killsFlag+60 {
				plan = append(plan, x)
			}
			continue
		}
		hits[cell{r.Phase, r.Class}]++
		hows[r.Phase+" "+r.How]++
	}
	t.Logf("%d kills in %s", kills, time.Since(began).Round(time.Millisecond))
	c.finish()
	c.check()

	var b strings.Builder
	fmt.Fprintf(&b, "%-15s", "")
	for _, class := range classes {
		fmt.Fprintf(&b, "%14s", class)
	}
	for _, p := range phases {
		fmt.Fprintf(&b, "\n%-15s", p)
		for _, class := range classes {
			fmt.Fprintf(&b, "%14d", hits[cell{p, class}])
			if hits[cell{p, class}] < need[cell{p, class}] {
				t.Errorf("%s of %s was hit %d times, want %d", p, class, hits[cell{p, class}], need[cell{p, class}])
			}
		}
	}
	t.Logf("kills by phase and class, besides %d random ones (%d missed their aim):\n%s", hows["random"], hows["missed"], b.String())
	t.Logf("exact points: %v; answers of the human: %v", hows, c.human.answers)
}

// TestCrashAtEveryWrite kills a run of more than 40 steps right before and
// right after each of its journal writes.
func TestCrashAtEveryWrite(t *testing.T) {
	alone := job{Kinds: []string{"long"}, Alive: 1, Most: 1}
	c := newCampaign(t)
	l := c.start(alone, false)
	if _, ok := l.wait(60*time.Second, "idle"); !ok {
		t.Fatal("a run without kills does not come to its end")
	}
	l.stdin.Close()
	r, ok := l.wait(20*time.Second, "end")
	if !ok {
		t.Fatal("the worker did not stop")
	}
	c.end(l)
	c.check()
	step := max(1, 2*r.Writes/max(1, *killsFlag/2)) // 20 kills: 10 of them here
	if *killsFlag >= 300 || *killsFlag >= 2*r.Writes {
		step = 1
	}
	t.Logf("%d writes; killed before and after every %d of them", r.Writes, step)
	var died, late atomic.Int32
	t.Cleanup(func() {
		t.Logf("%d kills; %d points were not reached, since more was committed at once", died.Load(), late.Load())
	})
	point := 0
	for n := 1; n <= r.Writes; n++ {
		for _, how := range []string{"commit", "committed"} {
			if point++; (point-1)%step != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s_%d", how, n), func(t *testing.T) {
				t.Parallel()
				c := newCampaign(t)
				j := alone
				j.Target = target{Phase: "write", How: how, N: n}
				l := c.start(j, false)
				r, ok := l.wait(60*time.Second, "kill", "idle")
				if !ok {
					t.Errorf("it neither died nor ended: %s", c.states())
				}
				if r.K == "idle" {
					late.Add(1)
				} else {
					died.Add(1)
				}
				l.kill()
				c.end(l)
				j.Target = target{}
				l = c.start(j, false) // it may have died before the run was there
				if _, ok := l.wait(60*time.Second, "idle"); !ok {
					t.Errorf("the run does not come to its end: %s", c.states())
				}
				l.kill()
				c.end(l)
				c.check()
			})
		}
	}
}
