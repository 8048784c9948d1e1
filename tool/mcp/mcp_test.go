package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
	"github.com/daruma-run/daruma/tool/mcp"
)

func effect(e daruma.Effect) *daruma.Effect { return &e }

// child is the configuration of this binary as a server, and the file in which
// its effects are noted.
func child(t testing.TB, mode string) (mcp.Config, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "witness")
	return mcp.Config{Name: "test", Command: os.Args[0], Env: []string{"SERVER=" + mode, "WITNESS=" + file},
		Grace: 200 * time.Millisecond, Tools: map[string]mcp.Tool{
			"echo": {Effect: effect(daruma.Read)}, "read": {Effect: effect(daruma.Read)}, "pid": {Effect: effect(daruma.Read)},
		}}, file
}

// home is a server and the set of its tools.
type home struct {
	t testing.TB
	*mcp.Server
	set *tool.Set
}

func start(t testing.TB, c mcp.Config) *home {
	t.Helper()
	server, err := mcp.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	set, err := tool.NewSet(server.Tools()...)
	if err != nil {
		t.Fatal(err)
	}
	return &home{t, server, set}
}

func (h *home) try(ctx context.Context, name, text string) (string, error) {
	args, _ := json.Marshal(map[string]string{"text": text})
	if text == "" {
		args = nil
	}
	r, err := h.set.Dispatch(ctx, tool.Call{Tool: name, Args: args, Key: "k-1", Attempt: 1})
	return r.Text, err
}

func (h *home) call(name, text string) string {
	h.t.Helper()
	r, err := h.try(context.Background(), name, text)
	if err != nil {
		h.t.Fatalf("%s: %v (%v)", name, err, daruma.KindOf(err))
	}
	return r
}

// fails calls a tool that must fail with a kind and a part of a message.
func (h *home) fails(name, text string, kind daruma.Kind, part string) {
	h.t.Helper()
	r, err := h.try(context.Background(), name, text)
	if daruma.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), part) {
		h.t.Errorf("%s gave %q, %v (%v); want %v with %q", name, r, err, daruma.KindOf(err), kind, part)
	}
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func lines(t testing.TB, file string) []string {
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

func TestDeclarations(t *testing.T) {
	c, _ := child(t, "paged")
	c.Prefix = "x."
	c.Deny = []string{"die"}
	c.Tools["append"] = mcp.Tool{Spec: daruma.ToolSpec{Risk: daruma.RiskHigh, OnDoubt: daruma.DoubtVerify, Capability: "notes", Approve: true},
		Verify: &mcp.Verify{Tool: "read", Done: "${args.text}"}}
	h := start(t, c)
	specs := map[string]daruma.ToolSpec{}
	for _, s := range h.set.Specs() {
		specs[s.Name] = s
		if s.Pin == "" {
			t.Errorf("%s has no pin", s.Name)
		}
	}
	if len(specs) != 13 || specs["x_die"].Name != "" {
		t.Errorf("tools: %v", specs)
	}
	if s := specs["x_append"]; s.Effect != daruma.Unsafe || s.Risk != daruma.RiskHigh || s.OnDoubt != daruma.DoubtVerify || !s.Verify || !s.Approve || s.Capability != "notes" {
		t.Errorf("append is %+v", s)
	}
	if s := specs["x_echo"]; s.Effect != daruma.Read {
		t.Errorf("echo is %v", s.Effect)
	}
	if s := specs["x_env"]; s.Effect != daruma.Unsafe {
		t.Errorf("env, of which nothing is said, is %v", s.Effect)
	}
	if got := h.call("x_echo", "hello"); got != "hello" {
		t.Errorf("echo gave %q", got)
	}
}

func TestAnnotationsAreHints(t *testing.T) {
	for _, trust := range []bool{false, true} {
		c, _ := child(t, "good")
		c.Tools, c.Allow, c.TrustAnnotations = nil, []string{"echo", "append"}, trust
		h := start(t, c)
		got := h.set.Specs()
		want := daruma.Unsafe
		if trust {
			want = daruma.Read
		}
		i := slices.IndexFunc(got, func(s daruma.ToolSpec) bool { return s.Name == "echo" })
		if got[i].Effect != want || got[1-i].Effect != daruma.Unsafe {
			t.Errorf("trust %v: %+v", trust, got)
		}
	}
}

func TestResults(t *testing.T) {
	c, _ := child(t, "good")
	h := start(t, c)
	want := `a text
[an image, image/png, 5 bytes: not shown]
[audio, of no stated type, 1 bytes: not shown]
[a link to the resource "log" at file:///log, text/plain, 9 bytes]
[the resource file:///a, text/plain]
inside
[the resource file:///b, of no stated type, 3 bytes: not shown]
{"n":1}`
	if got := h.call("mixed", ""); got != want {
		t.Errorf("mixed content is\n%s\nwant\n%s", got, want)
	}
	if got := h.call("same", ""); got != `{"b": [1, 2], "a": "x"}` {
		t.Errorf("structured content that repeats the text is shown twice: %q", got)
	}
	if got := h.call("wrapped", ""); got != "all of it" {
		t.Errorf("structured content that wraps the text is shown beside it: %q", got)
	}
	h.fails("fail", "", daruma.KindInvalid, "no such file")
}

func TestArgumentsAreChecked(t *testing.T) {
	c, _ := child(t, "good")
	h := start(t, c)
	_, err := h.set.Dispatch(context.Background(), tool.Call{Tool: "echo", Args: json.RawMessage(`{"text":1}`)})
	if daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a number for a text gives %v", err)
	}
}

func TestKeys(t *testing.T) {
	c, _ := child(t, "good")
	c.KeyMeta = "key"
	c.Tools["key"] = mcp.Tool{Effect: effect(daruma.Keyed), KeyArgument: "text"}
	h := start(t, c)
	if got := h.call("key", ""); got != "k-1 k-1" {
		t.Errorf("the server was told %q", got)
	}
	for _, d := range h.set.Offer(nil) {
		if d.Name == "key" && strings.Contains(string(d.Schema), "text") {
			t.Errorf("the model is told of the key argument: %s", d.Schema)
		}
	}
	h.fails("key", "forged", daruma.KindInvalid, "text")
}

// TestDeath: a server that ends in a call leaves it in doubt, and is started
// again by the next call.
func TestDeath(t *testing.T) {
	c, file := child(t, "good")
	h := start(t, c)
	first := h.call("pid", "")
	h.fails("die", "once", daruma.KindDoubt, "the answer did not come")
	if second := h.call("pid", ""); second == first {
		t.Errorf("the process is still %s", second)
	}
	if got := lines(t, file); len(got) != 1 {
		t.Errorf("effects: %q", got)
	}
	// One that dies again and again is left alone for longer and longer.
	h.fails("die", "", daruma.KindDoubt, "")
	h.fails("die", "", daruma.KindDoubt, "")
	_, err := h.try(context.Background(), "pid", "")
	if daruma.KindOf(err) != daruma.KindUnavailable || tool.RetryAfter(err) <= 0 {
		t.Errorf("after three deaths: %v, retry after %v", err, tool.RetryAfter(err))
	}
	<-time.After(tool.RetryAfter(err))
	h.call("pid", "")
}

// TestDeathOfReads: a call that only reads is never in doubt.
func TestDeathOfReads(t *testing.T) {
	c, _ := child(t, "good")
	c.Tools["die"] = mcp.Tool{Effect: effect(daruma.Read)}
	h := start(t, c)
	h.fails("die", "", daruma.KindUnavailable, "")
}

func TestCancelReachesTheServer(t *testing.T) {
	for name, how := range map[string]daruma.Kind{"cancelled": 0, "too late": 1} {
		t.Run(name, func(t *testing.T) {
			c, file := child(t, "good")
			c.Tools["slow"] = mcp.Tool{Spec: daruma.ToolSpec{Timeout: daruma.Duration(300 * time.Millisecond)}}
			h := start(t, c)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := h.try(ctx, "slow", "")
				done <- err
			}()
			eventually(t, "the call begins", func() bool { return len(lines(t, file)) == 2 })
			if how == 0 {
				cancel()
			}
			if err := <-done; daruma.KindOf(err) != daruma.KindDoubt {
				t.Errorf("the call ended with %v", err)
			}
			eventually(t, "the server hears of it", func() bool { return len(lines(t, file)) == 5 })
			if got := h.call("echo", "still here"); got != "still here" {
				t.Errorf("echo gave %q", got)
			}
		})
	}
}

func TestLargeResults(t *testing.T) {
	c, _ := child(t, "good")
	h := start(t, c)
	h.fails("big", "", daruma.KindDoubt, "more than 16777216 bytes")
	c.Tools["big"] = mcp.Tool{Effect: effect(daruma.Read)}
	h = start(t, c)
	h.fails("big", "", daruma.KindBroken, "more than 16777216 bytes")
	if got := h.call("echo", "up again"); got != "up again" {
		t.Errorf("echo gave %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-secret")
	t.Setenv("LANG", "C")
	c, _ := child(t, "good")
	c.Env = append(c.Env, "MINE=1")
	got := start(t, c).call("env", "")
	if strings.Contains(got, "sk-secret") || !strings.Contains(got, "MINE=1") || !strings.Contains(got, "PATH=") || !strings.Contains(got, "LANG=C") {
		t.Errorf("the environment is\n%s", got)
	}
}

func TestChangedToolsAreBlocked(t *testing.T) {
	c, _ := child(t, "good")
	h := start(t, c)
	h.call("change", "add") // more tools change nothing of those in use
	eventually(t, "the notice arrives", func() bool { return h.call("echo", "a") == "a" })
	h.call("change", "description")
	eventually(t, "the changed tool is blocked", func() bool {
		got, err := h.try(context.Background(), "echo", "a")
		if err == nil && got != "a" && got != "another echo" {
			t.Fatalf("echo gave %q", got)
		}
		return daruma.KindOf(err) == daruma.KindDenied && strings.Contains(err.Error(), "has changed the description or schema of echo")
	})
	h.call("change", "remove")
	eventually(t, "the removed tool is gone", func() bool {
		_, err := h.try(context.Background(), "echo", "a")
		return daruma.KindOf(err) == daruma.KindNotFound
	})
	h.call("pid", "")
	for _, d := range h.set.Offer(nil) {
		if d.Name == "echo" && d.Description != "Does echo." {
			t.Errorf("models are told %q", d.Description)
		}
	}
}

func TestVerify(t *testing.T) {
	c, file := child(t, "good")
	c.Tools["append"] = mcp.Tool{Verify: &mcp.Verify{Tool: "read", Done: "\n${args.text}\n"}}
	c.Tools["fail"] = mcp.Tool{Verify: &mcp.Verify{Tool: "read", Done: "${args.text}"}}
	c.Tools["slow"] = mcp.Tool{Verify: &mcp.Verify{Tool: "read", Done: "done ${args.text}", Absent: "not ${args.text}"}}
	h := start(t, c)
	verify := func(name, text string) daruma.Outcome {
		args, _ := json.Marshal(map[string]string{"text": text})
		o, _, err := h.set.Verify(context.Background(), tool.Call{Tool: name, Args: args})
		if (err != nil) != (o == daruma.Doubtful) {
			t.Errorf("%s %q: %v with %v", name, text, o, err)
		}
		return o
	}
	if o := verify("append", "one"); o != daruma.Absent {
		t.Errorf("before: %v", o)
	}
	h.call("append", "one")
	if o := verify("append", "one"); o != daruma.Succeeded {
		t.Errorf("after: %v", o)
	}
	if o := verify("fail", ""); o != daruma.Doubtful {
		t.Errorf("with nothing to look for: %v", o)
	}
	for _, s := range []struct {
		text string
		want daruma.Outcome
	}{{"done x", daruma.Succeeded}, {"not x", daruma.Absent}, {"", daruma.Doubtful}, {"not x done x", daruma.Doubtful}} {
		os.WriteFile(file, []byte(s.text), 0o600)
		if o := verify("slow", "x"); o != s.want {
			t.Errorf("file %q: %v, want %v", s.text, o, s.want)
		}
	}
}

func TestBadStarts(t *testing.T) {
	for _, s := range []struct {
		name string
		mode string
		edit func(c *mcp.Config)
		kind daruma.Kind
		want string
	}{
		{"no such program", "", func(c *mcp.Config) { c.Command = "no-such-program-anywhere" }, daruma.KindInvalid, "the program cannot be started"},
		{"neither", "", func(c *mcp.Config) { c.Command = "" }, daruma.KindInvalid, "accepted: one of them"},
		{"it ends at once", "crash", nil, daruma.KindUnavailable, "exit status 3) before it spoke MCP"},
		{"and says why", "crash", nil, daruma.KindUnavailable, "it said: no licence found"},
		{"it says nothing", "mute", nil, daruma.KindUnavailable, "did not come up within 300ms"},
		{"it speaks something else", "chatty", nil, daruma.KindUnavailable, "invalid"},
		{"allow of nothing", "good", func(c *mcp.Config) { c.Allow = []string{"echo", "read", "pid", "nope"} }, daruma.KindInvalid, `allow names "nope", which the server does not have; it has: `},
		{"tools of nothing", "good", func(c *mcp.Config) { c.Tools["nope"] = mcp.Tool{} }, daruma.KindInvalid, `tools names "nope"`},
		{"configured, denied", "good", func(c *mcp.Config) { c.Deny = []string{"echo"} }, daruma.KindInvalid, `tool "echo" is configured, but not allowed`},
		{"verify of an unknown place", "good", func(c *mcp.Config) {
			c.Tools["append"] = mcp.Tool{Verify: &mcp.Verify{Tool: "read", Arguments: map[string]any{"path": "${path}"}, Done: "${args.text}"}}
		}, daruma.KindInvalid, "${path} is unknown; accepted: ${args}, ${key}"},
		{"verify by a result", "good", func(c *mcp.Config) {
			c.Tools["append"] = mcp.Tool{Verify: &mcp.Verify{Tool: "read", Done: "x ${result}"}}
		}, daruma.KindInvalid, "${result} is unknown"},
		{"keyed without a key", "good", func(c *mcp.Config) { c.Tools["append"] = mcp.Tool{Effect: effect(daruma.Payment)} }, daruma.KindInvalid, "nothing carries its idempotency key"},
		{"key argument of nothing", "good", func(c *mcp.Config) {
			c.Tools["append"] = mcp.Tool{Effect: effect(daruma.Keyed), KeyArgument: "nope"}
		}, daruma.KindBroken, `"nope" is no property`},
		{"verified by a writer", "good", func(c *mcp.Config) {
			c.Tools["append"] = mcp.Tool{Verify: &mcp.Verify{Tool: "die", Done: "x"}}
		}, daruma.KindInvalid, "has the effect read"},
		{"a name too long", "good", func(c *mcp.Config) { c.Prefix = strings.Repeat("x", 61) }, daruma.KindInvalid, "to go on without"},
		{"another pin", "good", func(c *mcp.Config) { c.Tools["echo"] = mcp.Tool{Pin: "abc"} }, daruma.KindInvalid, "not abc: its description or schema changed"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c, _ := child(t, s.mode)
			if s.mode == "mute" {
				c.StartTimeout = 300 * time.Millisecond
			}
			if s.edit != nil {
				s.edit(&c)
			}
			server, err := mcp.Start(context.Background(), c)
			if err == nil {
				server.Close()
				t.Fatal("it started")
			}
			if daruma.KindOf(err) != s.kind || !strings.Contains(err.Error(), s.want) {
				t.Errorf("%v (%v)\nwant %v with %q", err, daruma.KindOf(err), s.kind, s.want)
			}
		})
	}
}

// noise is a log that is read while it is written.
type noise struct {
	mu sync.Mutex
	bytes.Buffer
}

func (n *noise) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Buffer.Write(b)
}

func TestLog(t *testing.T) {
	c, _ := child(t, "good")
	var log noise
	c.Log = &log
	h := start(t, c)
	h.call("echo", "x")
	h.Close()
	log.mu.Lock()
	defer log.mu.Unlock()
	if got := log.String(); !strings.Contains(got, "the server is up") {
		t.Errorf("the log has %q", got)
	}
	if _, err := h.try(context.Background(), "echo", "x"); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("after Close: %v", err)
	}
	h.Close()
}

func TestManyAtOnce(t *testing.T) {
	c, _ := child(t, "good")
	h := start(t, c)
	errs := make(chan error, 40)
	for i := range 40 {
		go func() {
			word := fmt.Sprint("w", i)
			got, err := h.try(context.Background(), "echo", word)
			if err == nil && got != word {
				err = fmt.Errorf("%q for %q", got, word)
			}
			errs <- err
		}()
	}
	for range 40 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
