package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"
)

// task is one measurement, done by a process of its own. The parent hands it
// over as JSON in the arguments.
type task struct {
	Contender string
	Measure   string
	Phase     string // of recovery: hold, then resume
	Dir       string
	Runs      int           // at once; of latency: one after the other; of recovery: in flight
	Steps     int           // of one run
	Window    time.Duration // of rate and effects
	Began     time.Time     // of resume: when the parent started the process
	Profile   string        // folder for a CPU profile; empty: none
}

// result is what a child prints, one line of JSON.
type result struct {
	Engine     string
	Measure    string
	Round      int
	Durability string

	Steps     int     // counted
	Seconds   float64 `json:",omitzero"`
	PerSecond float64 `json:",omitzero"`
	P50       float64 `json:",omitzero"` // ms from step to step of one run
	P99       float64 `json:",omitzero"`
	CPU       float64 `json:",omitzero"` // ms per step, user and system, of the whole process

	Runs     int     `json:",omitzero"` // in flight at the kill
	Open     float64 `json:",omitzero"` // ms from exec until the engine was open
	Issued   float64 `json:",omitzero"` // ms from exec until every run had begun its next step
	Done     float64 `json:",omitzero"` // ms from exec until the last step of the last run
	Repeated int     `json:",omitzero"` // steps done again although they had been completed
}

// child does one task and prints its result. It dies with its parent: when
// standard input ends.
func child(text string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	for _, c := range contenders {
		if c.Name != t.Contender {
			continue
		}
		stop, err := profile(t)
		if err != nil {
			return err
		}
		r, err := perform(ctx, c, t)
		stop()
		if err != nil {
			return fmt.Errorf("%s, %s %s: %w", t.Contender, t.Measure, t.Phase, err)
		}
		r.Engine, r.Measure = t.Contender, t.Measure
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return fmt.Errorf("contender %q is unknown", t.Contender)
}

// profile begins a CPU profile, where one is asked for.
func profile(t task) (stop func(), err error) {
	if t.Profile == "" {
		return func() {}, nil
	}
	name := strings.TrimSuffix(t.Contender+"-"+t.Measure+"-"+t.Phase, "-") + ".pprof"
	f, err := os.Create(filepath.Join(t.Profile, name))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func perform(ctx context.Context, c contender, t task) (result, error) {
	m := newMeter(t)
	e, err := c.Open(ctx, config{Dir: t.Dir, Steps: t.Steps, Intents: t.Measure == effects, Relaxed: c.Relaxed, Work: m.work})
	if err != nil {
		return result{}, err
	}
	m.opened = time.Now()
	r := result{Durability: e.Durability()}
	switch {
	case t.Phase == "hold":
		return r, hold(ctx, e, m)
	case t.Phase == "resume":
		err = resume(ctx, e, m, &r)
	default:
		err = pace(ctx, e, m, &r)
	}
	if err != nil {
		return r, err
	}
	return r, e.Close()
}

// pace runs the load of rate, effects and latency.
func pace(ctx context.Context, e engine, m *meter, r *result) error {
	t := m.task
	atOnce, more := t.Runs, func(int) bool { return time.Since(m.began) < t.Window }
	if t.Measure == latency {
		atOnce, more = 1, func(n int) bool { return n < t.Runs }
	}
	if err := crowd(ctx, e, "warm", min(atOnce, 8), func(n int) bool { return n < 2 }); err != nil {
		return err
	}
	m.reset()
	cpu := cpuTime()
	if err := crowd(ctx, e, "run", atOnce, more); err != nil {
		return err
	}
	took := time.Since(m.began)
	cpu = cpuTime() - cpu

	r.Steps = m.count()
	r.Seconds = took.Seconds()
	r.PerSecond = float64(r.Steps) / took.Seconds()
	r.P50, r.P99 = m.quantile(0.50), m.quantile(0.99)
	r.CPU = ms(cpu) / float64(r.Steps)
	return nil
}

// crowd keeps a number of runs going, each slot one after the other for as
// long as more says so of its n-th.
func crowd(ctx context.Context, e engine, name string, slots int, more func(n int) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for slot := range slots {
		wg.Go(func() {
			for n := 0; more(n) && ctx.Err() == nil; n++ {
				wait, err := e.Start(ctx, runName(name, slot, n))
				if err == nil {
					err = wait()
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// hold brings all runs to the middle of a step, says so and waits to be killed.
func hold(ctx context.Context, e engine, m *meter) error {
	failed := make(chan error, 1)
	slots := make(chan struct{}, 64)
	go func() {
		for _, run := range m.runs() {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				if _, err := e.Start(ctx, run); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}()
		}
	}()
	select {
	case <-m.all:
	case err := <-failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%d of %d runs are in flight: %w", m.inFlight(), m.task.Runs, ctx.Err())
	}
	fmt.Println("held")
	<-ctx.Done()
	return ctx.Err()
}

// resume waits until the runs of a killed process are done.
func resume(ctx context.Context, e engine, m *meter, r *result) error {
	t := m.task
	select {
	case <-m.done:
	case <-ctx.Done():
		return fmt.Errorf("%d of %d runs went on, %d are done: %w", m.inFlight(), t.Runs, m.finished(), ctx.Err())
	}
	if err := e.Await(ctx, m.runs()); err != nil {
		return err
	}
	r.Runs, r.Steps, r.Repeated = t.Runs, m.count(), m.repeated
	r.Open = ms(m.opened.Sub(t.Began))
	r.Issued = ms(m.issuedAt.Sub(t.Began))
	r.Done = ms(m.doneAt.Sub(t.Began))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func runName(kind string, slot, n int) string { return fmt.Sprintf("%s-%d-%d", kind, slot, n) }
