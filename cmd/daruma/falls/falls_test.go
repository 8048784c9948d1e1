package falls

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/fake"
)

func TestScenarios(t *testing.T) {
	counts, counted := map[string]int{}, 0
	for _, name := range Names() {
		s, err := load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		counts[s.Family]++
		if s.Gap == "" {
			counted++
		}
	}
	if counted < 44 {
		t.Errorf("%d scenarios count; want at least 44", counted)
	}
	for _, f := range families {
		if counts[f] < 10 {
			t.Errorf("%d scenarios of family %s; want at least 10", counts[f], f)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "#: family fail\n#: fall x\n#: input x\n#: best completed\n#: has a: b\nmodel m\nsay \"b\"\n"
	if _, err := parse("good", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"family fail", "family x", "family is"},
		{"best completed", "best WRONG", "best is"},
		{"has a: b", "has a", "NAME: FRAGMENT"},
		{"has a: b", "effect refund many", "TOOL COUNT ARGS"},
		{"has a: b", "effect refund 1 {", "arguments of effect refund"},
		{"has a: b", "had a: b", "is not known"},
		{"#: input x\n", "", "lacks input"},
		{"say", "sing", "line 7"},
		{"fall x", "limits money=3", "limit"},
	} {
		_, err := parse("bad", []byte(strings.Replace(good, c.old, c.new, 1)))
		if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %q", c.new, err, c.want)
		}
	}
}

func TestOracle(t *testing.T) {
	a := act{Best: []Outcome{Degraded}, Has: []fact{{[]string{"weather"}, []string{"21"}}}, Lies: []string{"sunny"}, Asks: []string{"refund"},
		Effects: []effect{{"refund", 1, 1, `{"amount":40}`}, {"mail", 0, 1, ""}}}
	paid := []fake.Entry{{Tool: "refund", Args: []byte(`{ "amount": 40 }`)}}
	other := []fake.Entry{{Tool: "refund", Args: []byte(`{"amount":41}`)}}
	for _, c := range []struct {
		state, said string
		ledger      []fake.Entry
		want        Outcome
		score       float64
	}{
		{answered, "21 degrees, and it is paid", paid, Completed, 1},
		{answered, "21 degrees. The refund could not be made.", nil, Degraded, 1},
		{answered, "21 degrees, and it is paid", nil, Wrong, 0},
		{answered, "It is paid. The weather is not known.", paid, Degraded, 1},
		{answered, "It is paid. What a day!", paid, Wrong, 0},
		{answered, "21 degrees. The refund failed.", paid, Wrong, 0},
		{answered, "21 degrees. Whether the refund failed is unknown.", paid, Completed, 1},
		{answered, "21 degrees, paid twice", append(paid, paid...), Wrong, 0},
		{failed, "gave up", append(paid, paid...), Wrong, 0},
		{answered, "21 degrees, paid", other, Wrong, 0},
		{parked, "is the refund done?", other, Wrong, 0},
		{answered, "21 degrees, sunny, paid", paid, Wrong, 0},
		{answered, "I am sorry, I cannot help.", nil, Failed, 0.5},
		{answered, "", paid, Wrong, 0},
		{failed, "the model failed", nil, Failed, 0.5},
		{failed, " ", nil, Wrong, 0},
		{parked, "did the Refund happen?", nil, Parked, 0.5},
		{parked, "what now?", nil, Wrong, 0},
		{hung, "", nil, Hang, 0},
		{answered, "21, paid", []fake.Entry{paid[0], {Tool: "wipe", Args: []byte(`{}`)}}, Wrong, 0},
	} {
		v := a.judge(Ending{c.state, c.said, c.ledger})
		if v.outcome != c.want || a.score(v.outcome) != c.score {
			t.Errorf("%s %q: %s (%s), %v; want %s, %v", c.state, c.said, v.outcome, v.why, a.score(v.outcome), c.want, c.score)
		}
	}
}

// TestDaruma is the promise: never wrong, never hanging, whatever the models speak.
func TestDaruma(t *testing.T) {
	for _, dialect := range []string{"openai", "anthropic"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			report, err := Run(t.Context(), Options{Runners: []string{"daruma"}, Dialect: dialect})
			if err != nil {
				t.Fatal(err)
			}
			total := report.Total("daruma")
			if total.Outcomes[Wrong]+total.Outcomes[Hang] > 0 || total.Score < float64(total.Scenarios)-1 {
				var b bytes.Buffer
				_ = report.Table(&b)
				t.Error(b.String())
			}
		})
	}
}

// TestWithout takes each rung out where it is the only way to the best end.
func TestWithout(t *testing.T) {
	t.Parallel()
	for remedy, name := range map[daruma.Remedy]string{
		daruma.Reflect:     "invented-id",
		daruma.Repair:      "repairable-arguments",
		daruma.SwitchTool:  "dead-tool-alternative",
		daruma.SwitchModel: "invented-tool-always",
		daruma.Escalate:    "refusal-midway",
		daruma.Degrade:     "refused-write",
	} {
		t.Run(remedy.String(), func(t *testing.T) {
			t.Parallel()
			score := func(without ...daruma.Remedy) float64 {
				report, err := Run(t.Context(), Options{Only: name, Runners: []string{"daruma"}, Without: without})
				if err != nil {
					t.Fatal(err)
				}
				return report.Rows[0].Results[0].Score
			}
			if with, without := score(), score(remedy); with != 1 || without >= with {
				t.Errorf("%s: %v with it, %v without", name, with, without)
			}
		})
	}
}

// TestBare shows that the bench can tell a bad runner: the bare loop pays twice.
func TestBare(t *testing.T) {
	t.Parallel()
	report, err := Run(t.Context(), Options{Only: "lying-payment", Runners: []string{"bare"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Rows[0].Results[0]; r.Outcome != Wrong || !strings.Contains(r.Why, "times") {
		t.Errorf("%+v", r)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, o := range []Options{{Only: "no such name"}, {Runners: []string{"nobody"}}, {Dialect: "latin"}} {
		if _, err := Run(t.Context(), o); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Serve("no such name"); daruma.KindOf(err) != daruma.KindNotFound {
		t.Error(err)
	}
}

// TestPeers checks that what is recorded is what bench/peers holds, that it is
// of the scenarios as they are, and that a report takes it.
func TestPeers(t *testing.T) {
	b, err := os.ReadFile("../../../bench/peers/results.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != recorded {
		t.Error("bench/peers/results.json and peers.json differ: copy the one to the other")
	}
	peers, err := Recorded()
	if err != nil || len(peers) == 0 {
		t.Fatal(peers, err)
	}
	var report Report
	for _, name := range Names() {
		s, err := load(name)
		if err != nil {
			t.Fatal(err)
		}
		report.Rows = append(report.Rows, Row{Scenario: name, Family: s.Family, Best: s.Acts[0].Best, Gap: s.Gap})
		for _, p := range peers {
			if _, ok := p.Results[name]; !ok && s.Crash == "" {
				t.Errorf("%s: %s has changed since it was recorded; see bench/peers/README.md", p.Name, name)
			}
		}
	}
	for _, p := range peers {
		report.Add(p)
	}
	var out bytes.Buffer
	if err := report.Table(&out); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if total := report.Total(p.Name); total.Scenarios == 0 || total.Recorded == "" || !strings.Contains(out.String(), p.Name+": recorded") {
			t.Errorf("%+v", total)
		}
	}
	if _, err := JudgePeers(strings.NewReader("{")); daruma.KindOf(err) != daruma.KindInvalid {
		t.Error(err)
	}
}
