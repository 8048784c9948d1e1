package fake

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

var _ model.Provider = (*Fake)(nil)

const streamOp = "fake.Stream"

// Stream answers as the model named by r.Model, in this process. Failures
// arrive as they would over HTTP, with the same kinds.
func (f *Fake) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		if err := f.stream(ctx, r, yield); err != nil {
			yield(model.Chunk{}, err)
		}
	}
}

// stream returns the error to end with; nil also when the caller has left.
func (f *Fake) stream(ctx context.Context, r *model.Request, yield func(model.Chunk, error) bool) error {
	if err := r.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return stopped(ctx)
	}
	s := &scene{messages: r.Messages}
	for _, t := range r.Tools {
		s.tools = append(s.tools, t.Name)
	}
	p, bad := f.askModel(r.Model, s)
	if bad != nil {
		return bad.failure()
	}
	if p.fault != nil {
		if a, ok := answerOf(p.fault); ok {
			return a.failure()
		}
		switch p.fault.kind {
		case "reset":
			return daruma.Fail(streamOp, daruma.KindUnavailable, "the connection was reset")
		case "hang":
			if err := sleep(ctx, p.fault.max); err != nil {
				return err
			}
			return failed{504, nil, errorBody("", "timeout", "The scripted server hung.")}.failure()
		}
	}
	a := p.speak(s)
	if err := sleep(ctx, a.reply.delay); err != nil {
		return err
	}
	pieces := a.pieces(r.Model)
	end := p.end(len(pieces))
	for _, c := range pieces[:end] {
		if !yield(c.chunk(), nil) {
			return nil
		}
		if err := sleep(ctx, p.pause(a)); err != nil {
			return err
		}
	}
	if p.fault != nil {
		switch p.fault.kind {
		case "cut", "no-end":
			return daruma.Fail(streamOp, daruma.KindBroken, "the stream ended without its end mark")
		case "error-event":
			return failed{503, nil, errorBody("", "overloaded_error", "Overloaded")}.failure()
		case "stall":
			if err := sleep(ctx, p.fault.max); err != nil {
				return err
			}
			return daruma.Fail(streamOp, daruma.KindBroken, "the stream was cut after a stall")
		}
	}
	yield(model.Chunk{End: true}, nil)
	return nil
}

// askModel counts the request and finds what happens to it.
func (f *Fake) askModel(name string, s *scene) (play, *failed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked["model "+name]++
	for _, m := range f.script.models {
		if m.name != name {
			continue
		}
		if wrong := s.unpaired(); wrong != "" {
			return play{}, &failed{400, nil, errorBody("", "invalid_request_error", wrong)}
		}
		p, ok := f.pick(m.rules, s, false)
		if !ok {
			a := noRule("model", name, s)
			return p, &a
		}
		return p, nil
	}
	return play{}, &failed{404, nil, errorBody("model_not_found", "invalid_request_error", "The script has no model "+name+".")}
}

func (a failed) failure() error {
	if a.header == nil {
		a.header = http.Header{}
	}
	return model.Classify(model.Facts{
		Provider: "fake", Status: a.status, Header: a.header, Body: []byte(a.body), Now: time.Now(),
	}).Failure(streamOp)
}

// stopped says why ctx is over.
func stopped(ctx context.Context) error {
	return &daruma.Failure{Op: streamOp, Kind: daruma.KindOf(ctx.Err()), Err: context.Cause(ctx)}
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}

// pause is the time between two pieces.
func (p play) pause(a said) time.Duration {
	if p.fault != nil && p.fault.kind == "drip" {
		return p.fault.every
	}
	return a.reply.drip
}

// end is how many of n pieces arrive.
func (p play) end(n int) int {
	if p.fault == nil {
		return n
	}
	switch p.fault.kind {
	case "cut", "error-event", "stall":
		if p.fault.after < 0 {
			return n / 2
		}
		return min(p.fault.after, n-1)
	case "no-end":
		return n - 1 // all but the finish
	}
	return n
}
