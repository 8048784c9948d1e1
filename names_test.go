package daruma_test

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// enum is what every enumerated value can do.
type enum interface {
	fmt.Stringer
	encoding.TextMarshaler
}

// values returns the names of every value of an enumeration, in stored order,
// and checks each of them on its way.
func values[T interface {
	~uint8
	enum
}](t *testing.T, first T, parse func(*T, []byte) error) []string {
	t.Helper()
	var names []string
	kind := reflect.TypeFor[T]().Name()
	for v := first; ; v++ {
		name := v.String()
		if strings.HasPrefix(name, "daruma."+kind+"(") {
			break // a value this version does not know
		}
		b, err := v.MarshalText()
		if err != nil || string(b) != name {
			t.Errorf("%s %d is written %q, %v, and called %q", kind, v, b, err, name)
		}
		var back T
		if err := parse(&back, b); err != nil || back != v {
			t.Errorf("%s %q is read as %d, %v", kind, name, back, err)
		}
		names = append(names, name)
	}
	var v T = first
	err := parse(&v, []byte("no_such_name"))
	if daruma.KindOf(err) != daruma.KindInvalid || v != first {
		t.Errorf("%s: a name that is unknown gives %v and changes the value to %v", kind, err, v)
	}
	for _, name := range names {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error does not say that %s is accepted: %v", kind, name, err)
		}
	}
	for _, bad := range []string{"", strings.ToUpper(names[0]), names[0] + " ", "0"} {
		if err := parse(&v, []byte(bad)); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: %q is read as %v", kind, bad, v)
		}
	}
	return names
}

// TestNames pins the numbers under which names are stored: the file may grow
// at the end of each list and nowhere else.
func TestNames(t *testing.T) {
	var out strings.Builder
	write := func(kind string, first int, names []string) {
		for i, name := range names {
			fmt.Fprintf(&out, "%s %d %s\n", kind, first+i, name)
		}
	}
	write("signal", 1, values(t, daruma.MaxRetriesExceeded, (*daruma.SignalType).UnmarshalText))
	write("severity", 0, values(t, daruma.Warning, (*daruma.Severity).UnmarshalText))
	write("remedy", 0, values(t, daruma.Abort, (*daruma.Remedy).UnmarshalText))
	write("kind", 0, values(t, daruma.KindUnknown, (*daruma.Kind).UnmarshalText))
	write("cause", 0, values(t, daruma.CauseUnknown, (*daruma.Cause).UnmarshalText))
	write("effect", 0, values(t, daruma.Unsafe, (*daruma.Effect).UnmarshalText))
	write("risk", 0, values(t, daruma.RiskUnset, (*daruma.Risk).UnmarshalText))
	write("on_doubt", 0, values(t, daruma.DoubtAsk, (*daruma.OnDoubt).UnmarshalText))
	write("effect_state", 0, values(t, daruma.EffectPending, (*daruma.EffectState).UnmarshalText))
	write("outcome", 0, values(t, daruma.Doubtful, (*daruma.Outcome).UnmarshalText))
	write("state", 0, values(t, daruma.Running, (*daruma.RunState).UnmarshalText))
	write("level", 0, values(t, daruma.Full, (*daruma.Level).UnmarshalText))
	write("repeat", 0, values(t, daruma.RepeatAuto, (*daruma.Repeat).UnmarshalText))
	write("compaction", 0, values(t, daruma.CompactUnset, (*daruma.Compaction).UnmarshalText))
	golden(t, "testdata/names.golden", func(string) string { return out.String() })
}

func TestLists(t *testing.T) {
	if got := len(daruma.SignalTypes()); got != 20 {
		t.Errorf("%d signal types", got)
	}
	for i, typ := range daruma.SignalTypes() {
		if int(typ) != i+1 {
			t.Errorf("signal %s stands at %d", typ, i)
		}
		if typ.Severity() > daruma.Critical {
			t.Errorf("signal %s has no severity", typ)
		}
	}
	var set daruma.RemedySet
	for i, r := range daruma.Remedies() {
		if int(r) != i || set.Has(r) {
			t.Errorf("remedy %s stands at %d, in the set before it was put there: %v", r, i, set.Has(r))
		}
		if set |= daruma.Of(r); !set.Has(r) {
			t.Errorf("remedy %s is not in the set it was put in", r)
		}
	}
	if s := fmt.Sprint(daruma.OpCallModel, daruma.OpJudge, daruma.OpCallTool, daruma.OpVerify, daruma.OpWait, daruma.OpStartRun); s != "call_model judge call_tool verify wait start_run" {
		t.Errorf("ops are called %s", s)
	}
}

// TestRecoverable holds the table of signals that need a human.
func TestRecoverable(t *testing.T) {
	for _, typ := range daruma.SignalTypes() {
		want := true
		switch typ {
		case daruma.MaxRetriesExceeded, daruma.ResourceExhausted, daruma.PolicyDenied, daruma.UnknownOutcome, daruma.Injection:
			want = false
		}
		if typ.Recoverable() != want {
			t.Errorf("%s is recoverable: %v", typ, typ.Recoverable())
		}
	}
}

func TestDanger(t *testing.T) {
	for spec, want := range map[string]daruma.Risk{"x": daruma.RiskMedium, "x:read": daruma.RiskLow, "x:payment": daruma.RiskCritical, "x:keyed": daruma.RiskMedium,
		"x:payment:risk=low": daruma.RiskLow, "x:read:risk=critical": daruma.RiskCritical} {
		if got := toolOf(t, spec).Danger(); got != want {
			t.Errorf("%s is of risk %s, want %s", spec, got, want)
		}
	}
	for e := daruma.Unsafe; e <= daruma.Payment; e++ {
		if e.Repeatable() == (e == daruma.Unsafe) {
			t.Errorf("%s may be repeated: %v", e, e.Repeatable())
		}
	}
}
