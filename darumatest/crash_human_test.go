package darumatest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// human is the person who approves and answers, from a process of its own,
// through the socket of the owner. It tells the truth, which it asks the
// witness for, and says everything twice.
type human struct {
	path    string
	witness string

	mu      sync.Mutex
	posted  map[posted]bool // acknowledged
	answers map[string]int  // given, by choice
}

type posted struct {
	run        daruma.RunID
	topic, key string
}

func newHuman(dir, witness string) *human {
	return &human{path: journalIn(dir), witness: witness, posted: map[posted]bool{}, answers: map[string]int{}}
}

// work answers whatever is asked until ctx ends. Errors are those of a worker
// that is being killed: it looks again.
func (h *human) work(ctx context.Context, gen int) {
	c, err := call(h.witness, gen)
	if err != nil {
		return
	}
	defer c.c.Close()
	var r reached
	defer func() {
		if r != nil {
			r.Close()
		}
	}()
	for ctx.Err() == nil {
		if r == nil {
			r, err = reachStore(ctx, h.path)
			if err != nil {
				r = nil // not up yet
			}
		}
		if r != nil {
			h.look(ctx, r, c)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (h *human) look(ctx context.Context, r reached, c *caller) {
	open, err := r.Approvals(ctx, "")
	if err != nil {
		return
	}
	p := poster{r, h}
	for _, a := range open {
		// A run that waits for this cannot end before it has read the note.
		note := daruma.Post{Run: a.Run, Topic: "note", Key: "note " + a.ID, By: "user:ada"}
		if _, err := p.Post(ctx, note); err != nil {
			continue
		}
		for range 2 {
			_ = agent.Decide(ctx, p, a.ID, true, "user:ada", "") // looked for again
		}
	}
	parked, err := r.Runs(ctx, daruma.Query{States: []daruma.RunState{daruma.ParkedState}, Limit: 1000})
	if err != nil {
		return
	}
	for _, info := range parked {
		h.answer(ctx, r, c, info)
	}
}

func (h *human) answer(ctx context.Context, r reached, c *caller, info daruma.RunInfo) {
	run, err := agent.Read(ctx, r, info.ID)
	if err != nil || run.Parked() == nil || run.Parked().Reason == daruma.ParkApproval {
		return
	}
	asked := int64(0)
	for e, err := range r.Events(ctx, info.ID, 0) {
		if err != nil {
			return
		}
		if e.Kind == daruma.KindParked {
			asked = e.Seq
		}
	}
	answer := daruma.Answer{Question: run.Parked().ID, Choice: daruma.AnswerRetry}
	for _, call := range run.Results() {
		if daruma.CallSubject(call.Index) != run.Parked().Subject || run.Parked().Signal != daruma.UnknownOutcome {
			continue
		}
		var o order
		if json.Unmarshal([]byte(call.Args), &o) != nil {
			return
		}
		truth, err := c.ask(ctx, entry{Op: "truth", Run: info.ID, Call: o.ID, Tool: call.Tool})
		if err != nil {
			return
		}
		answer.Choice = daruma.AnswerAbsent
		if truth.Count > 0 {
			answer.Choice, answer.Text = daruma.AnswerHappened, resultOf(call.Tool, o.ID)
		}
	}
	for range 2 {
		_ = agent.Answer(ctx, poster{r, h}, info.ID, fmt.Sprint("question ", asked), "user:ada", answer) // looked for again
	}
	h.mu.Lock()
	h.answers[answer.Choice]++
	h.mu.Unlock()
}

// poster notes which posts were acknowledged.
type poster struct {
	reached
	h *human
}

func (p poster) Post(ctx context.Context, post daruma.Post) (bool, error) {
	fresh, err := p.reached.Post(ctx, post)
	if err == nil {
		p.h.mu.Lock()
		p.h.posted[posted{post.Run, post.Topic, post.Key}] = true
		p.h.mu.Unlock()
	}
	return fresh, err
}
