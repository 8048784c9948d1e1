package fake

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// TestParseRefuses: an error names the line, what was given, what is accepted.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                              `line 0: the script is empty; accepted: at least one model or tool`,
		"seed x":                        `line 1: seed is "x"; accepted: a whole number`,
		"say \"x\"":                     `line 1: "say" stands before any model or tool; accepted: seed, model, tool`,
		"model":                         `line 1: the name of a model is ""; accepted: one word`,
		"model a\nmodel a":              `line 2: model a stands here for the second time; accepted: every name once`,
		"tool a\n\n#\ntool a":           `line 4: tool a stands here for the second time`,
		"tool a/b":                      `line 1: the name of a tool is "a/b"`,
		"model m\nsing \"x\"":           `line 2: "sing" is not known in a model; accepted: when, always, fault,`,
		"model m\nsay x":                `line 2: x is not a text; accepted: one text in "double quotes"`,
		"model m\ncall a {":             `line 2: the arguments of a are {, which is no JSON; accepted: a JSON value, or raw-args for anything`,
		"model m\ncall":                 `line 2: call names no tool; accepted: call TOOL ARGUMENTS`,
		"model m\nfinish why":           `line 2: finish is "why"; accepted: stop, tool_calls, length, content_filter, none`,
		"model m\nusage in=x":           `line 2: usage is "in=x"; accepted: none, or in=TOKENS out=TOKENS`,
		"model m\ndelay soon":           `line 2: delay is "soon"; accepted: a duration such as 200ms`,
		"model m\nquirk odd":            `line 2: quirk is "odd"; accepted: index-zero`,
		"model m\nfault":                `line 2: fault has no kind; accepted: a status from 400 to 599, hang,`,
		"model m\nfault 200":            `line 2: fault is "200"; accepted: a status from 400 to 599, hang,`,
		"model m\nfault lost":           `line 2: fault is "lost"; accepted: a status from 400 to 599, hang,`,
		"model m\nfault 429 times=0":    `line 2: times is "0"; accepted: 1 and more, or forever`,
		"model m\nfault 429 chance=2":   `line 2: chance is "2"; accepted: 0 to 1`,
		"model m\nfault cut after=-1":   `line 2: after is "-1"; accepted: a number of pieces`,
		"model m\nfault 429 often":      `line 2: the option of a fault is "often"; accepted: times=N,`,
		"model m\nwhen":                 `line 2: the condition is ""; accepted: [not] turn, last,`,
		"model m\nwhen turn":            `line 2: the condition is "turn"; accepted: turn 2, turn 2..4, turn 2+, turn odd, turn even`,
		"model m\nwhen turn 4..2":       `line 2: the condition is "turn 4..2"`,
		"model m\nwhen turn 1 and":      `line 2: the condition is ""; accepted`,
		"model m\nwhen call 1":          `line 2: the condition is "call 1"; accepted: [not] turn,`,
		"model m\nwhen note \"x\"":      `line 2: the condition is "note \"x\""; accepted: note contains "TEXT"`,
		"model m\nwhen last tool a b":   `line 2: the condition is "last tool a b"; accepted: last contains`,
		"model m\nwhen tools need x":    `line 2: the condition is "tools need x"; accepted: tools have NAME, tools lack NAME`,
		"model m\nalways now":           `line 2: "now" stands behind always; accepted: nothing`,
		"tool t colour=red":             `line 1: the attribute is "colour=red"; accepted: effect=,`,
		"tool t effect=some":            `line 1: effect=some:`,
		"tool t\nsay \"x\"":             `line 2: "say" is not known in a tool; accepted: description,`,
		"tool t\nreturn {":              `line 2: return is {, which is no JSON; accepted: a JSON value in one line`,
		"tool t\nreturn {}\nlie {}":     `line 3: lie is the second answer of one rule; accepted: one of return, lie, error`,
		"tool t\nschema []":             `line 2: the schema is []; accepted: a JSON object in one line`,
		"tool t\nerror \"x\" status=99": `line 2: status is "99"; accepted: 400 to 599`,
		"tool t\nfault cut":             `line 2: fault is "cut"; accepted: a status from 400 to 599, hang, reset, lost,`,
		"tool t\nwhen turn 1":           `line 2: the condition is "turn 1"; accepted: [not] call, args, arg, key`,
		"tool t\nwhen arg a \"x\"":      `line 2: the condition is "arg a \"x\""; accepted: arg PATH is "TEXT"`,
	} {
		_, err := Parse([]byte(text))
		if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got  %v\n want %s", text, err, want)
		}
	}
}

// FuzzParse: whatever parses can be played.
func FuzzParse(f *testing.F) {
	f.Add(refundScript(f), "hello", `{"a":1}`)
	f.Add("model m\nwhen not turn 2+ and last user contains \"x\"\nraw-args a {\nquirk bytes\nfault cut after=0 chance=0.5 each\nalways\nsay \"${last.a} #{x} ${result.a.b}\"", "x", "{")
	f.Add("tool t effect=keyed dedupe\nwhen call odd and arg a is \"1\"\nfault late for=1ns times=forever\nlie {}\nalways\nerror \"no\" status=500", "", `{"a":1}`)
	f.Fuzz(func(t *testing.T, text, input, args string) {
		s, err := Parse([]byte(text))
		if err != nil {
			if daruma.KindOf(err) != daruma.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p := New(s)
		for _, m := range s.models {
			sc := &scene{messages: []daruma.Message{{Role: daruma.RoleUser, Text: input}, {Role: daruma.RoleTool, Text: args}}}
			pl, bad := p.askModel(m.name, sc)
			if bad == nil {
				for _, c := range pl.speak(sc).pieces(m.name) {
					c.chunk()
				}
			}
			model.Collect(p.Stream(ctx, &model.Request{Model: m.name, Messages: sc.messages}))
		}
		for _, tl := range s.tools {
			before := len(p.Ledger())
			a := p.callTool(tl.Spec.Name, args, "k")
			if n := len(p.Ledger()) - before; n > 1 || n == 1 && tl.Spec.Effect == daruma.Read {
				t.Fatalf("%d effects: %+v", n, a)
			}
		}
	})
}

// TestConditions walks through every condition with both answers.
func TestConditions(t *testing.T) {
	talk := []daruma.Message{
		{Role: daruma.RoleSystem, Text: "Be kind."},
		user("Refund A-17"),
		{Role: daruma.RoleAssistant, Calls: []daruma.ToolCall{{ID: "1", Name: "lookup"}, {ID: "2", Name: "lookup"}}},
		{Role: daruma.RoleTool, CallID: "1", Text: `{"order":"A-17"}`},
		{Role: daruma.RoleTool, CallID: "2", Text: `not found`},
	}
	noted := append(slices.Clone(talk), user("NOTE: the tool is not known"))
	r := func(m []daruma.Message) *scene { return &scene{messages: m, tools: []string{"lookup"}} }
	for _, c := range []struct {
		cond string
		s    *scene
		want bool
	}{
		{`turn 2`, r(talk), true}, {`turn 1`, r(talk), false}, {`turn 1..3`, r(talk), true}, {`turn 3+`, r(talk), false},
		{`turn 2+`, r(talk), true}, {`turn even`, r(talk), true}, {`turn odd`, r(talk), false}, {`not turn 2`, r(talk), false},
		{`turn 1`, r(talk[:2]), true},
		{`last contains "NOT FOUND"`, r(talk), true}, {`last contains "a-17"`, r(talk), false},
		{`last tool`, r(talk), true}, {`last tool lookup`, r(talk), true}, {`last tool refund`, r(talk), false},
		{`last tool lookup contains "found"`, r(talk), true}, {`last tool lookup contains "lost"`, r(talk), false},
		{`last tool contains "found"`, r(talk), true}, {`last user`, r(talk), false}, {`last user contains "note"`, r(noted), true},
		{`note contains ""`, r(talk), false}, {`note contains "not known"`, r(noted), true}, {`note contains "else"`, r(noted), false},
		{`note contains "refund"`, r(talk[:2]), false},
		{`note contains "not known"`, r(append(slices.Clone(noted), daruma.Message{Role: daruma.RoleAssistant, Text: "ok"})), false},
		{`any contains "be kind"`, r(talk), true}, {`any contains "unkind"`, r(talk), false},
		{`input contains "A-17"`, r(noted), true}, {`input contains "note"`, r(noted), false},
		{`system contains "kind"`, r(talk), true}, {`system contains "refund"`, r(talk), false},
		{`called lookup`, r(talk), true}, {`called lookup 2`, r(talk), true}, {`called lookup 1`, r(talk), false},
		{`called refund`, r(talk), false}, {`called refund 0`, r(talk), true},
		{`result lookup`, r(talk), true}, {`result refund`, r(talk), false}, {`result lookup contains "a-17"`, r(talk), true},
		{`result lookup contains "refund"`, r(talk), false},
		{`tools have lookup`, r(talk), true}, {`tools lack lookup`, r(talk), false}, {`tools lack refund`, r(talk), true},
		{`not tools lack refund`, r(talk), false},
		{`turn 2 and last contains "found"`, r(talk), true}, {`turn 1 and last contains "found"`, r(talk), false},
		{`last contains " and "`, r(noted), false},
	} {
		s, err := Parse([]byte("model m\nwhen " + c.cond + "\nsay \"x\""))
		if err != nil {
			t.Errorf("%s: %v", c.cond, err)
			continue
		}
		if _, got := New(s).pick(s.models[0].rules, c.s, false); got != c.want {
			t.Errorf("%s is %v, want %v", c.cond, got, c.want)
		}
	}
	tool := &scene{nth: 3, args: `{"order":{"id":"A-17"},"n":2}`, key: "k"}
	for cond, want := range map[string]bool{
		`call 3`: true, `call 2`: false, `call odd`: true, `call 4+`: false, `args contains "a-17"`: true, `args contains "b"`: false,
		`arg order.id is "A-17"`: true, `arg order.id is "A"`: false, `arg n is "2"`: true, `key given`: true, `not key given`: false,
	} {
		s, err := Parse([]byte("tool t\nwhen " + cond + "\nreturn {}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, got := New(s).pick(s.tools[0].rules, tool, true); got != want {
			t.Errorf("%s is %v, want %v", cond, got, want)
		}
	}
}

// TestToolBehaviours: what the caller is told, and what was really done.
func TestToolBehaviours(t *testing.T) {
	for _, c := range []struct {
		script  string
		kind    daruma.Kind
		effects int
	}{
		{`return {"ok":true}`, 0, 1},
		{`lie {"ok":true}`, 0, 0},
		{`error "no money"`, daruma.KindInvalid, 0},
		{`error "no such order" status=404`, daruma.KindNotFound, 0},
		{`error "broken" status=500`, daruma.KindUnavailable, 0},
		{"fault 503\nreturn {}", daruma.KindUnavailable, 0},
		{"fault 429 retry-after=1\nreturn {}", daruma.KindRateLimited, 0},
		{"fault dead", daruma.KindUnavailable, 0},
		{"fault reset\nreturn {}", daruma.KindDoubt, 0},
		{"fault hang for=1ms\nreturn {}", daruma.KindDoubt, 0},
		{"fault lost\nreturn {}", daruma.KindDoubt, 1},
		{"fault late for=1ms\nreturn {}", daruma.KindDoubt, 1},
		{"fault html\nreturn {}", daruma.KindDoubt, 1},
		{"fault garbage", daruma.KindDoubt, 1},
		{"when call 2\nreturn {}", daruma.KindInvalid, 0},
	} {
		f := parse(t, "tool t\n"+c.script)
		_, err := f.Call(t.Context(), "t", "{}", "k")
		if daruma.KindOf(err) != c.kind || (err != nil) != (c.kind != 0) || len(f.Ledger()) != c.effects {
			t.Errorf("%q: %v, %d effects", c.script, err, len(f.Ledger()))
		}
	}
	for _, dedupe := range []string{"", " dedupe"} {
		f := parse(t, "tool t effect=keyed"+dedupe+"\nreturn {\"n\":\"${n}\"}")
		f.Call(t.Context(), "t", `{"a":1,"b":2}`, "k")
		second, err := f.Call(t.Context(), "t", `{"b":2, "a":1}`, "k")
		want, effects := `{"n":"2"}`, 2
		if dedupe != "" {
			want, effects = `{"n":"1"}`, 1
		}
		if err != nil || string(second) != want || len(f.Ledger()) != effects {
			t.Errorf("dedupe %q: %s %v, %d effects", dedupe, second, err, len(f.Ledger()))
		}
	}
}

// TestCounting: faults are counted for all conversations or for each, and
// chance follows from the seed.
func TestCounting(t *testing.T) {
	fails := func(f *Fake, input string) bool {
		_, err := ask(t, f, "m", user(input))
		return err != nil
	}
	f := parse(t, "model m\nfault 503 times=2\nsay \"x\"")
	if got := fmt.Sprint(fails(f, "a"), fails(f, "b"), fails(f, "c")); got != "true true false" {
		t.Error(got)
	}
	f.Reset()
	if !fails(f, "a") {
		t.Error("Reset does not begin anew")
	}
	f = parse(t, "model m\nfault 503 each\nsay \"x\"")
	if got := fmt.Sprint(fails(f, "a"), fails(f, "b"), fails(f, "a"), fails(f, "b")); got != "true true false false" {
		t.Error(got)
	}
	row := func(seed int) string {
		f := parse(t, fmt.Sprintf("seed %d\nmodel m\nfault 503 times=forever chance=0.5\nsay \"x\"", seed))
		out := ""
		for range 40 {
			out += fmt.Sprintf("%v", fails(f, "a"))[:1]
		}
		return out
	}
	if row(1) != row(1) || row(1) == row(2) || strings.Count(row(1), "t") < 8 || strings.Count(row(1), "t") > 32 {
		t.Errorf("%s\n%s", row(1), row(2))
	}
}

func TestLedgerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	os.WriteFile(path, []byte(`{"seq":1,"tool":"t","key":"k","args":{},"result":{}}`+"\n"+`{"seq":2,"tool":"t","ke`), 0o600)
	f := parse(t, "tool t\nreturn {}")
	if err := f.KeepLedger(path); err != nil || len(f.Ledger()) != 1 {
		t.Fatalf("a torn last line: %v, %d entries", err, len(f.Ledger()))
	}
	if _, err := f.Call(t.Context(), "t", "{}", "k2"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	text, _ := os.ReadFile(path)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) != 2 || gjson.Get(lines[1], "key").String() != "k2" {
		t.Errorf("%s", text)
	}
	os.WriteFile(path, []byte("x\n"), 0o600)
	if err := parse(t, "tool t\nreturn {}").KeepLedger(path); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("a line that is no entry: %v", err)
	}
}

func TestServe(t *testing.T) {
	f := parse(t, "model m\nfault hang\nsay \"x\"")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx, l) }()
	res, err := http.Get("http://" + l.Addr().String() + "/v1/models")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if l, err := net.Listen("tcp", "0.0.0.0:0"); err == nil {
		if err := f.Serve(t.Context(), l); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("an address that is not loopback: %v", err)
		}
	}
}
