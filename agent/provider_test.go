package agent_test

import (
	"context"
	"iter"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
)

// TestMain gives all tests and examples one folder, and removes it.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "daruma-agent")
	if err != nil {
		panic(err)
	}
	os.Setenv("TMPDIR", dir)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// talk is a model: it answers a conversation with a text, calls, or an error.
type talk func(ctx context.Context, messages []daruma.Message) (daruma.Message, error)

func (f talk) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		m, err := f(ctx, r.Messages)
		if err != nil {
			yield(model.Chunk{}, err)
			return
		}
		for i, c := range m.Calls {
			if !yield(model.Chunk{Call: &model.CallDelta{Index: i, ID: c.ID, Name: c.Name, Arguments: c.Arguments}}, nil) {
				return
			}
		}
		finish := daruma.FinishStop
		if len(m.Calls) > 0 {
			finish = daruma.FinishTools
		}
		yield(model.Chunk{Text: m.Text, Finish: finish, Usage: &daruma.Usage{Input: 7, Output: 3}, Native: m.Native, End: true}, nil)
	}
}

func say(text string) daruma.Message { return daruma.Message{Role: daruma.RoleAssistant, Text: text} }

// call asks for tools: name, arguments, name, arguments …
func call(pairs ...string) daruma.Message {
	m := daruma.Message{Role: daruma.RoleAssistant}
	for i := 0; i < len(pairs); i += 2 {
		m.Calls = append(m.Calls, daruma.ToolCall{ID: "c" + string(rune('0'+i/2)), Name: pairs[i], Arguments: pairs[i+1]})
	}
	return m
}

// turns counts the answers of the model so far.
func turns(messages []daruma.Message) (n int) {
	for _, m := range messages {
		if m.Role == daruma.RoleAssistant {
			n++
		}
	}
	return n
}

// script answers the n-th turn with the n-th message, then "done".
func script(answers ...daruma.Message) talk {
	return func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
		if n := turns(messages); n < len(answers) {
			return answers[n], nil
		}
		var results []string
		for _, m := range messages {
			if m.Role == daruma.RoleTool {
				results = append(results, m.Text)
			}
		}
		return say("done: " + strings.Join(results, ",")), nil
	}
}

func table(t testing.TB, providers ...model.Provider) *route.Table {
	t.Helper()
	var targets []route.Target
	for i, p := range providers {
		name := "model" + string(rune('0'+i))
		targets = append(targets, route.Target{Name: name, Model: name, Provider: p, Price: daruma.Price{Free: true}})
	}
	models, err := route.NewTable(targets...)
	if err != nil {
		t.Fatal(err)
	}
	return models
}

// house is a shell at work.
type house struct {
	*agent.Shell
	t     testing.TB
	stop  context.CancelFunc
	ended chan error
}

// open starts a shell over the journal; it is stopped when the test ends.
func open(t testing.TB, o agent.Options) *house {
	t.Helper()
	s, err := agent.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &house{Shell: s, t: t, stop: stop, ended: make(chan error, 1)}
	go func() { h.ended <- s.Run(ctx) }()
	<-h.Working() // so that runs are born here
	t.Cleanup(func() { h.close() })
	return h
}

// close drains the shell and returns what Run returned.
func (h *house) close() error {
	h.stop()
	err := <-h.ended
	h.ended <- err // for the next call
	return err
}

func (h *house) start(s agent.Start) daruma.RunID {
	h.t.Helper()
	id, err := h.Start(context.Background(), s)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) wait(id daruma.RunID) agent.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := h.Wait(ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) waitFinished(id daruma.RunID) agent.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := h.WaitFinished(ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// kinds returns the kinds of the run's events, in order.
func kinds(t testing.TB, j daruma.Reader, id daruma.RunID) []daruma.EventKind {
	t.Helper()
	var all []daruma.EventKind
	for e, err := range j.Events(context.Background(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Kind)
	}
	return all
}

func count(kinds []daruma.EventKind, kind daruma.EventKind) (n int) {
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}

// bubble runs f with virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
