package fake

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
)

// Fake plays a script: as a [github.com/daruma-run/daruma/model.Provider], as
// scripted tools in this process, and as an HTTP server. It is safe for
// concurrent use. What it counts and the ledger live as long as the Fake; see
// [Fake.KeepLedger] for a ledger that outlives the process.
type Fake struct {
	script *Script

	mu      sync.Mutex
	played  map[string]int // how often a fault was played, by line and conversation
	asked   map[string]int // requests by "model NAME" and "tool NAME"
	ledger  ledger
	started int // requests so far, for ids
}

// New returns a Fake at the beginning of the script.
func New(script *Script) *Fake {
	f := &Fake{script: script}
	f.Reset()
	return f
}

// Reset begins the script anew: counts are zero and the ledger is empty. A
// ledger kept in a file goes on in the file, behind what stands there.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.played, f.asked, f.started = make(map[string]int), make(map[string]int), 0
	f.ledger.reset()
}

// Script returns the script that is played.
func (f *Fake) Script() *Script { return f.script }

// Asked returns how many requests each model and tool has got, failed ones
// included, by "model NAME" and "tool NAME".
func (f *Fake) Asked() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]int, len(f.asked))
	for k, v := range f.asked {
		out[k] = v
	}
	return out
}

// play is what happens to one request.
type play struct {
	id    int
	fault *fault
	reply *reply     // of a model; nil without an answer
	tool  *toolReply // of a tool
}

// pick finds the rule that holds, and counts. It is called with mu held.
func (f *Fake) pick(rules []*rule, s *scene, isTool bool) (play, bool) {
	f.started++
	for _, r := range rules {
		if slices.ContainsFunc(r.conds, func(c cond) bool { return !c.holds(s) }) {
			continue
		}
		p := play{id: f.started, reply: r.reply, tool: r.result}
		for _, ft := range r.faults {
			if f.due(ft, s) {
				p.fault = ft
				return p, true
			}
		}
		if !isTool && r.reply != nil || isTool && r.result != nil {
			return p, true
		}
	}
	return play{id: f.started}, false
}

func (f *Fake) due(ft *fault, s *scene) bool {
	name := strconv.Itoa(ft.line)
	if ft.each {
		sum := sha256.Sum256([]byte(s.input()))
		name += fmt.Sprintf("/%x", sum[:8])
	}
	if ft.times != forever && f.played[name] >= ft.times {
		return false
	}
	if ft.chance < 1 {
		tries := name + "?"
		f.played[tries]++
		if f.roll(tries, f.played[tries]) >= ft.chance {
			return false
		}
	}
	f.played[name]++
	return true
}

// roll is a number from 0 to 1 that follows from the seed.
func (f *Fake) roll(name string, n int) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", f.script.seed, name, n))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}

// failed is a whole HTTP answer that is a failure.
type failed struct {
	status int
	header http.Header
	body   string
}

// answerOf returns the failed answer a fault stands for, and whether it is one.
func answerOf(ft *fault) (failed, bool) {
	a := failed{status: ft.status, header: http.Header{"Content-Type": {"application/json"}}}
	code, kind, text := "", "server_error", "The scripted server failed on purpose."
	switch ft.kind {
	case "status":
		code, kind, text = wording(ft.status)
	case "overflow":
		a.status = 400
		code, kind, text = "context_length_exceeded", "invalid_request_error", "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
	case "quota":
		a.status = 429
		code, kind, text = "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."
	case "error-200":
		a.status = 200
		code = "server_error"
	case "html":
		a.status = 200
		a.header.Set("Content-Type", "text/html; charset=utf-8")
		a.body = "<!DOCTYPE html>\n<html><head><title>Please sign in</title></head><body>Welcome to the guest network.</body></html>\n"
	case "garbage":
		a.status = 200
		a.body = `{"id":"chatcmpl-1","choices":[{"mess`
	default:
		return failed{}, false
	}
	if ft.wait >= 0 {
		switch ft.forms {
		case "retry-after-ms":
			a.header.Set("Retry-After-Ms", strconv.FormatInt(ft.wait.Milliseconds(), 10))
		case "retry-after-date":
			now := time.Now()
			a.header.Set("Date", now.UTC().Format(http.TimeFormat))
			a.header.Set("Retry-After", now.Add(ft.wait).UTC().Format(http.TimeFormat))
		default:
			a.header.Set("Retry-After", strconv.FormatFloat(ft.wait.Seconds(), 'f', -1, 64))
		}
	}
	if a.body == "" {
		a.body = errorBody(code, kind, text)
	}
	return a, true
}

func errorBody(code, kind, text string) string {
	e := map[string]any{"message": text, "type": kind, "param": nil, "code": nil}
	if code != "" {
		e["code"] = code
	}
	b, _ := json.Marshal(map[string]any{"error": e}) // strings always encode
	return string(b)
}

func wording(status int) (code, kind, text string) {
	switch status {
	case 401:
		return "invalid_api_key", "invalid_request_error", "Incorrect API key provided."
	case 404:
		return "model_not_found", "invalid_request_error", "The model does not exist or you do not have access to it."
	case 429:
		return "rate_limit_exceeded", "requests", "Rate limit reached. Please slow down."
	case 503:
		return "", "server_error", "The server had an error while processing your request."
	case 529:
		return "", "overloaded_error", "Overloaded"
	}
	if status < 500 {
		return "", "invalid_request_error", strings.ToLower(http.StatusText(status))
	}
	return "", "server_error", "The server had an error while processing your request."
}

// noRule is what a request gets that the script does not foresee.
func noRule(kind, name string, s *scene) failed {
	text := fmt.Sprintf("no rule of %s %s fits", kind, name)
	if kind == "model" {
		text += fmt.Sprintf(": turn %d", s.turn())
		if n := len(s.messages); n > 0 {
			last := s.messages[n-1]
			text += fmt.Sprintf(", last message %s %.200q", last.Role, last.Text)
		}
	} else {
		text += fmt.Sprintf(": call %d, arguments %.200q", s.nth, s.args)
	}
	return failed{400, http.Header{"Content-Type": {"application/json"}}, errorBody("no_rule", "invalid_request_error", text)}
}

// said is a whole answer of a model, before it is cut into pieces.
type said struct {
	think  string
	text   string
	calls  []daruma.ToolCall
	finish string // as on the wire; "none" means none
	usage  daruma.Usage
	silent bool
	reply  *reply
}

// speak fills in what the rule says.
func (p play) speak(s *scene) said {
	r := p.reply
	if r == nil {
		r = &reply{text: "This answer does not arrive as it should.", in: -1, out: -1}
	}
	a := said{think: s.fill(r.think), text: s.fill(r.text), finish: r.finish, silent: r.silent, reply: r}
	for i, c := range r.calls {
		args := s.fill(c.args)
		if json.Valid([]byte(c.args)) {
			args = s.fillJSON(c.args)
		}
		a.calls = append(a.calls, daruma.ToolCall{ID: fmt.Sprintf("call_%d_%d", s.turn(), i+1), Name: c.name, Arguments: args})
	}
	if p.fault != nil {
		switch p.fault.kind {
		case "empty":
			a.think, a.text, a.calls, a.finish = "", "", nil, "stop"
		case "refusal":
			a.text, a.calls, a.finish = "I'm sorry, but I can't help with that.", nil, "content_filter"
		case "length":
			a.text, a.calls, a.finish = a.text[:runeEnd(a.text, len(a.text)/2)], nil, "length"
		}
	}
	if a.finish == "" {
		a.finish = "stop"
		if len(a.calls) > 0 && !r.quirks["finish-stop"] {
			a.finish = "tool_calls"
		}
	}
	a.usage = daruma.Usage{Input: 8, Output: 1}
	for _, m := range s.messages {
		a.usage.Input += int64(len(m.Text)+3)/4 + 4
	}
	a.usage.Reasoning = int64(len(a.think)+3) / 4
	a.usage.Output += int64(len(a.text)+3)/4 + a.usage.Reasoning
	for _, c := range a.calls {
		a.usage.Output += int64(len(c.Arguments)+3)/4 + 8
	}
	if r.in >= 0 {
		a.usage.Input = r.in
	}
	if r.out >= 0 {
		a.usage.Output = r.out
	}
	a.usage.Reasoning = min(a.usage.Reasoning, a.usage.Output)
	return a
}

// runeEnd moves n back to where a character begins.
func runeEnd(text string, n int) int {
	for n > 0 && n < len(text) && text[n]&0xC0 == 0x80 {
		n--
	}
	return n
}
