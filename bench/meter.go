package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"
)

// payloadSize is how long the text is that a step returns.
const payloadSize = 312

// meter is the body of every step of every engine, and what it has seen.
type meter struct {
	task   task
	half   int // steps completed before a hold; even, so that it is a model that is being called
	opened time.Time
	began  time.Time
	all    chan struct{} // hold, resume: every run has begun a step
	done   chan struct{} // resume: every run has begun its last step

	mu       sync.Mutex
	steps    int
	last     map[string]time.Time // when a run began its newest step
	gaps     []time.Duration      // from step to step of one run
	ends     map[string]bool      // runs whose last step has begun
	issuedAt time.Time
	doneAt   time.Time
	repeated int
}

func newMeter(t task) *meter {
	return &meter{
		task: t, half: t.Steps / 4 * 2, began: time.Now(),
		all: make(chan struct{}), done: make(chan struct{}),
		last: map[string]time.Time{}, ends: map[string]bool{},
	}
}

// work takes one step.
func (m *meter) work(run string, step int) string {
	if m.note(run, step) {
		select {} // in flight until the process is killed
	}
	return payload(run, step)
}

// note writes a step down and reports whether it must never return.
func (m *meter) note(run string, step int) bool {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps++
	hold := m.task.Phase == "hold"
	if hold && step < m.half {
		return false
	}
	if m.task.Phase == "resume" && step < m.half {
		m.repeated++
		return false
	}
	if before, ok := m.last[run]; ok && step > 0 {
		m.gaps = append(m.gaps, now.Sub(before))
	}
	_, known := m.last[run]
	m.last[run] = now
	if m.task.Phase == "" {
		if step == m.task.Steps-1 {
			delete(m.last, run)
		}
		return false
	}
	if !known && len(m.last) == m.task.Runs {
		m.issuedAt = now
		close(m.all)
	}
	if step == m.task.Steps-1 && !m.ends[run] {
		m.ends[run] = true
		if len(m.ends) == m.task.Runs {
			m.doneAt = now
			close(m.done)
		}
	}
	return hold
}

// reset forgets the warm-up.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps, m.gaps, m.began = 0, nil, time.Now()
	clear(m.last)
}

func (m *meter) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steps
}

func (m *meter) inFlight() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.last)
}

func (m *meter) finished() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ends)
}

// quantile returns a quantile of the times from step to step, in milliseconds.
func (m *meter) quantile(q float64) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.gaps) == 0 {
		return 0
	}
	slices.Sort(m.gaps)
	return ms(m.gaps[min(len(m.gaps)-1, int(q*float64(len(m.gaps))))])
}

// runs names the runs of a recovery.
func (m *meter) runs() []string {
	names := make([]string, m.task.Runs)
	for i := range names {
		names[i] = runName("held", 0, i)
	}
	return names
}

// payload is the text a step returns: different for every step of every run,
// so that nothing looks like a loop.
func payload(run string, step int) string {
	b := fmt.Appendf(make([]byte, 0, payloadSize+64), "%s/%d ", run, step)
	sum := sha256.Sum256(b)
	for len(b) < payloadSize {
		b = hex.AppendEncode(b, sum[:])
		sum[0]++
	}
	return string(b[:payloadSize])
}
