package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
)

// start performs a command in a goroutine of its own.
func (l *loop) start(t *task) {
	ctx, cancel := context.WithCancelCause(l.work)
	l.cancels[t] = cancel
	j := job{ctx, cancel, t}
	select {
	case l.jobs <- j: // a performer that has grown its stack already
	default:
		l.wg.Go(func() { l.performer(j) })
	}
}

// job is a task on its way to a performer.
type job struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	task   *task
}

// idlePerformers is how many goroutines stay for the next command.
const idlePerformers = 64

// performer does one command, and others while there are any.
func (l *loop) performer(j job) {
	for {
		d := l.s.perform(j.ctx, j.task)
		j.cancel(nil)
		l.put(d)
		if l.idle.Add(1) > idlePerformers {
			l.idle.Add(-1)
			return
		}
		select {
		case j = <-l.jobs:
			l.idle.Add(-1)
		case <-l.s.finished:
			return
		}
	}
}

// perform does what the command asks for and says what came of it. It never
// panics.
func (s *Shell) perform(ctx context.Context, t *task) (d *done) {
	defer func() {
		if p := recover(); p != nil {
			d = s.crashed(t, fmt.Errorf("panic: %v", p))
		}
		d.task = t
	}()
	switch t.cmd.Op {
	case daruma.OpCallModel:
		return s.callModel(ctx, t)
	case daruma.OpVerify:
		return s.verify(ctx, t)
	case daruma.OpStartRun:
		return s.startChild(ctx, t)
	}
	return s.callTool(ctx, t)
}

// crashed answers a command whose performer panicked.
func (s *Shell) crashed(t *task, err error) *done {
	if t.cmd.Op == daruma.OpCallModel {
		return answered(daruma.KindModelFailed, daruma.ModelFailed{Command: t.cmd.ID, Target: t.cmd.Target,
			Kind: daruma.KindInternal, Text: short(err.Error())})
	}
	return answered(daruma.KindToolReplied, daruma.ToolReplied{Command: t.cmd.ID, Call: t.cmd.Call, Tool: t.cmd.Tool,
		Outcome: daruma.Doubtful, Kind: daruma.KindDoubt, Text: short(err.Error())})
}

// answered is a result of one event.
func answered(kind daruma.EventKind, payload any) *done {
	return &done{events: []daruma.Event{daruma.NewEvent(kind, daruma.ActorShell, payload)}}
}

// cutShort reports whether the shell itself ended a call, so that its failure
// says nothing.
func cutShort(ctx context.Context, err error) bool {
	cause := context.Cause(ctx)
	return err != nil && (errors.Is(cause, errStop) || errors.Is(cause, errUnwanted))
}

func (s *Shell) callTool(ctx context.Context, t *task) *done {
	began := time.Now()
	result, err := t.agent.set.Dispatch(ctx, t.call())
	outcome := daruma.Succeeded
	switch {
	case err == nil:
	case daruma.KindOf(err) == daruma.KindDoubt:
		outcome = daruma.Doubtful
	default:
		outcome = daruma.Failed
	}
	return toolReplied(ctx, t, outcome, result, err, began)
}

func (s *Shell) verify(ctx context.Context, t *task) *done {
	began := time.Now()
	outcome, result, err := t.agent.set.Verify(ctx, t.call())
	if err != nil || outcome != daruma.Succeeded && outcome != daruma.Absent {
		outcome = daruma.Doubtful
	}
	return toolReplied(ctx, t, outcome, result, err, began)
}

func (t *task) call() tool.Call {
	call := tool.NewCall(t.live.id, t.limits, t.cmd)
	call.Pin = t.pin
	return call
}

func toolReplied(ctx context.Context, t *task, outcome daruma.Outcome, result tool.Result, err error, began time.Time) *done {
	if cutShort(ctx, err) {
		return &done{dropped: true}
	}
	reply := daruma.ToolReplied{Command: t.cmd.ID, Call: t.cmd.Call, Tool: t.cmd.Tool, Outcome: outcome,
		Replayed: result.Replayed, Took: daruma.Duration(time.Since(began))}
	if err != nil {
		reply.Kind, reply.Text, reply.Retry = daruma.KindOf(err), short(plain(err)), daruma.Duration(tool.RetryAfter(err))
		if bad, ok := errors.AsType[*tool.ArgumentsError](err); ok {
			reply.Path = bad.Problems[0].Path
		}
		return answered(daruma.KindToolReplied, reply)
	}
	var blob *daruma.Blob
	reply.Text, reply.Ref, blob = inline(result.Text)
	if blob == nil {
		return answered(daruma.KindToolReplied, reply)
	}
	reply.Size = int64(len(blob.Bytes))
	d := answered(daruma.KindToolReplied, reply)
	d.blobs = append(d.blobs, *blob)
	return d
}

// plain is the text of an error without the operation in front: models and
// people read it.
func plain(err error) string {
	if f, ok := err.(*daruma.Failure); ok && f.Err != nil {
		return plain(f.Err)
	}
	return err.Error()
}

// blob reads a text from the journal, again and again while the journal cannot
// be reached.
func (s *Shell) blob(ctx context.Context, tenant daruma.Tenant, digest daruma.Digest) (string, error) {
	for {
		b, err := s.journal.Blob(ctx, tenant, digest)
		if err == nil || daruma.KindOf(err) != daruma.KindUnavailable {
			return string(b), err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
