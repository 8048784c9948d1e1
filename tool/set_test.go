package tool

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
)

func TestNewSetRefuses(t *testing.T) {
	do := func(context.Context, Call) (Result, error) { return Result{}, nil }
	ok := Tool{Spec: daruma.ToolSpec{Name: "ok"}, Do: do}
	for name, test := range map[string]struct {
		tool Tool
		want string
	}{
		"twice":        {ok, "given twice"},
		"no name":      {Tool{Do: do}, `name ""`},
		"bad name":     {Tool{Spec: daruma.ToolSpec{Name: "a b"}, Do: do}, `name "a b"`},
		"long name":    {Tool{Spec: daruma.ToolSpec{Name: strings.Repeat("a", 65)}, Do: do}, "1 to 64"},
		"no function":  {Tool{Spec: daruma.ToolSpec{Name: "a"}}, "no function"},
		"bad schema":   {Tool{Spec: daruma.ToolSpec{Name: "a"}, Do: do, Schema: json.RawMessage(`{"type": 3}`)}, `tool "a"`},
		"no object":    {Tool{Spec: daruma.ToolSpec{Name: "a"}, Do: do, Schema: json.RawMessage(`{"type": "string"}`)}, "type string"},
		"boolean":      {Tool{Spec: daruma.ToolSpec{Name: "a"}, Do: do, Schema: json.RawMessage(`true`)}, "object"},
		"no such":      {Tool{Spec: daruma.ToolSpec{Name: "a", Alternatives: []string{"b"}}, Do: do}, `alternative "b"`},
		"its own":      {Tool{Spec: daruma.ToolSpec{Name: "a", Alternatives: []string{"a"}}, Do: do}, `alternative "a"`},
		"verify":       {Tool{Spec: daruma.ToolSpec{Name: "a", Verify: true}, Do: do}, "no function Verify"},
		"doubt verify": {Tool{Spec: daruma.ToolSpec{Name: "a", OnDoubt: daruma.DoubtVerify}, Do: do}, "no function Verify"},
		"timeout":      {Tool{Spec: daruma.ToolSpec{Name: "a", Timeout: -1}, Do: do}, "timeout"},
		"effect":       {Tool{Spec: daruma.ToolSpec{Name: "a", Effect: 99}, Do: do}, "effect"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewSet(ok, test.tool)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v; want one with %s", err, test.want)
			}
			if kind := daruma.KindOf(err); kind != daruma.KindInvalid && name != "twice" {
				t.Errorf("kind %v", kind)
			}
		})
	}
}

func TestOffer(t *testing.T) {
	do := func(context.Context, Call) (Result, error) { return Result{}, nil }
	verify := func(context.Context, Call) (daruma.Outcome, Result, error) { return daruma.Doubtful, Result{}, nil }
	s := newSet(t,
		Tool{Spec: daruma.ToolSpec{Name: "z"}, Do: do, Description: "last letter", Verify: verify},
		Tool{Spec: daruma.ToolSpec{Name: "a", Alternatives: []string{"z"}}, Do: do},
		Tool{Spec: daruma.ToolSpec{Name: "m"}, Do: do, Schema: json.RawMessage(`{"type":"object","required":["x"]}`)},
	)
	want := []Definition{
		{"z", "last letter", json.RawMessage(`{"type":"object"}`)},
		{"m", "", json.RawMessage(`{"type":"object","required":["x"]}`)},
	}
	if d := cmp.Diff(want, s.Offer([]string{"a", "nobody"})); d != "" {
		t.Error(d)
	}
	specs := s.Specs()
	if len(specs) != 3 || !specs[0].Verify || specs[1].Verify {
		t.Errorf("specs %+v", specs)
	}
	specs[1].Alternatives[0] = "changed"
	if s.Specs()[1].Alternatives[0] != "z" {
		t.Error("a caller can change the set")
	}
	if got := s.Check("m", nil); len(got) != 1 || got[0].Path != "/x" {
		t.Errorf("Check: %v", got)
	}
	if got := s.Check("nobody", []byte("{")); got != nil {
		t.Errorf("Check of an unknown tool: %v", got)
	}
}

func TestNearest(t *testing.T) {
	do := func(context.Context, Call) (Result, error) { return Result{}, nil }
	var tools []Tool
	for _, name := range []string{"get_weather", "send_mail", "send_main", "search", "ls"} {
		tools = append(tools, Tool{Spec: daruma.ToolSpec{Name: name}, Do: do})
	}
	s := newSet(t, tools...)
	for name, want := range map[string]string{
		"getWeather": "get_weather", "functions.get_weather": "get_weather", "get-wether": "get_weather", "gte_weather": "get_weather",
		"serach": "search", "research": "search", "send_mai": "", "delete_all": "", "": "", "LS": "ls", "rm": "", "sl": "ls",
		strings.Repeat("search", 100): "",
	} {
		if got := s.Nearest(name); got != want {
			t.Errorf("Nearest(%.20q) = %q; want %q", name, got, want)
		}
	}
}

func TestFunc(t *testing.T) {
	type in struct {
		City string `json:"city" jsonschema:"name of the city"`
		Days int    `json:"days,omitempty"`
	}
	type out struct {
		Text string `json:"text"`
	}
	var key string
	s := newSet(t,
		Func("json", "d", func(ctx context.Context, v in) (out, error) {
			call, _ := CallOf(ctx)
			key = call.Key
			return out{v.City}, nil
		}, daruma.ToolSpec{Name: "ignored"}),
		Func("text", "", func(_ context.Context, v in) (string, error) { return v.City, nil }, daruma.ToolSpec{}),
		Func("result", "", func(context.Context, in) (Result, error) { return Result{"x", true}, nil }, daruma.ToolSpec{}),
		Func("bad", "", func(context.Context, in) (chan int, error) { return make(chan int), nil }, daruma.ToolSpec{}),
		Func("none", "", func(context.Context, struct{}) (string, error) { return "", nil }, daruma.ToolSpec{}),
	)
	for name, want := range map[string]Result{"json": {Text: `{"text":"Oslo"}`}, "text": {Text: "Oslo"}, "result": {"x", true}} {
		got, err := s.Dispatch(t.Context(), Call{Tool: name, Key: "k1", Args: json.RawMessage(`{"city": "Oslo"}`)})
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if key != "k1" {
		t.Errorf("key %q", key)
	}
	if _, ok := CallOf(t.Context()); ok {
		t.Error("a call outside of one")
	}
	// The function ran; only its result is lost.
	if _, err := s.Dispatch(t.Context(), Call{Tool: "bad", Args: json.RawMessage(`{"city": "Oslo"}`)}); daruma.KindOf(err) != daruma.KindDoubt {
		t.Errorf("result that is no JSON: %v", err)
	}
	if _, err := s.Dispatch(t.Context(), Call{Tool: "none", Args: json.RawMessage(` `)}); err != nil {
		t.Errorf("no arguments: %v", err)
	}
	if _, err := s.Dispatch(t.Context(), Call{Tool: "text", Args: json.RawMessage(`{"city": "Oslo", "town": 1}`)}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a name that is no field: %v", err)
	}
	for name, f := range map[string]func(){
		"string": func() {
			Func("x", "", func(context.Context, string) (string, error) { return "", nil }, daruma.ToolSpec{})
		},
		"func": func() {
			Func("x", "", func(context.Context, struct{ F func() }) (string, error) { return "", nil }, daruma.ToolSpec{})
		},
		"nil": func() { Func[struct{}, string]("x", "", nil, daruma.ToolSpec{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
