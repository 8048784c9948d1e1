package daruma_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

func TestMoney(t *testing.T) {
	for text, want := range map[string]daruma.Money{"2": 2 * daruma.Dollar, "$0.05": daruma.Dollar / 20, "12.50": 125 * daruma.Dollar / 10, "0": 0, "0.000000001": 1} {
		if got, err := daruma.ParseMoney(text); err != nil || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "$", "$$1", "-1", "NaN", "Inf", "1e300", "9000000001", "1,5", "1 $"} {
		if got, err := daruma.ParseMoney(text); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for m, want := range map[daruma.Money]string{0: "$0.00", daruma.Dollar: "$1.00", -daruma.Dollar / 2: "-$0.50", 4_200_000: "$0.0042", 1_234_500_000: "$1.2345"} {
		if got := m.String(); got != want {
			t.Errorf("%d is shown as %s, want %s", int64(m), got, want)
		}
	}
	const most, least = daruma.Money(math.MaxInt64), daruma.Money(math.MinInt64)
	if most.Plus(1) != most || least.Plus(-1) != least || most.Plus(-most) != 0 || daruma.Money(1).Plus(2) != 3 {
		t.Error("Plus does not stop at the ends")
	}
}

func TestPrice(t *testing.T) {
	u := daruma.Usage{Input: 1000, Output: 10, Cached: 400, Reasoning: 5}
	for _, c := range []struct {
		price daruma.Price
		want  daruma.Money
		known bool
	}{
		{daruma.Price{}, 0, false},
		{daruma.Price{Free: true}, 0, true},
		{daruma.Price{Input: 3, Output: 15}, 3150, true},
		{daruma.Price{Input: 3, Cached: 1, Output: 15}, 600*3 + 400 + 150, true},
		{daruma.Price{Input: math.MaxInt64, Output: 15}, math.MaxInt64, true},
		{daruma.Price{Output: 15}, 150, true},
	} {
		if got := c.price.Cost(u); got != c.want || c.price.Known() != c.known {
			t.Errorf("%+v costs %d, known %v", c.price, got, c.price.Known())
		}
	}
	odd := daruma.Usage{Input: 10, Cached: 400, Output: -5}
	if got := (daruma.Price{Input: 3, Cached: 1, Output: 15}).Cost(odd); got != 400 {
		t.Errorf("usage that does not add up costs %d", got)
	}
	if got := u.Plus(u); got != (daruma.Usage{Input: 2000, Output: 20, Cached: 800, Reasoning: 10}) || got.Total() != 2020 {
		t.Errorf("twice the usage is %+v", got)
	}
	huge := daruma.Usage{Input: math.MaxInt64, Output: math.MaxInt64}
	if got := huge.Plus(u); got.Input != math.MaxInt64 || got.Total() != math.MaxInt64 {
		t.Errorf("usage that overflows counts as %+v", got)
	}
}

func TestIDs(t *testing.T) {
	var ids []string
	for i := range 50 {
		id := daruma.NewRunID(epoch.Add(time.Duration(i)*time.Millisecond), [10]byte{byte(255 - i)})
		noError(t, id.Check())
		if len(id) != 30 || !strings.HasPrefix(string(id), "run_") {
			t.Errorf("id %q", id)
		}
		ids = append(ids, string(id))
	}
	if !slices.IsSorted(ids) {
		t.Errorf("ids do not sort by time: %q", ids)
	}
	if one, other := daruma.NewRunID(epoch, [10]byte{9: 1}), daruma.NewRunID(epoch, [10]byte{9: 2}); one == other {
		t.Errorf("two runs of one moment are both %s", one)
	}
	for _, good := range []string{"AZ", "az", "09", "._:-", strings.Repeat("a", 128)} {
		noError(t, daruma.RunID(good).Check())
	}
	for _, bad := range []string{"", "a b", "a@", "a[", "a`", "a{", "a;", "a/b", "ü", strings.Repeat("a", 129), "a\n"} {
		if err := daruma.RunID(bad).Check(); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("id %q: %v", bad, err)
		}
	}
	for id, want := range map[daruma.CommandID]string{"run_1/3/4": "3/4", "a/b/c/3/4": "3/4", "3/4": "3/4", "x": "x", "": ""} {
		if got := id.Step(); got != want {
			t.Errorf("step of %q is %q", id, got)
		}
	}
	d := daruma.DigestOf([]byte("x"))
	for _, text := range []string{d.String()[:63], d.String() + "00", strings.Repeat("g", 64), "x"} {
		back := d
		if err := back.UnmarshalText([]byte(text)); daruma.KindOf(err) != daruma.KindInvalid || back != d {
			t.Errorf("digest %q: %v, changed %v", text, err, back != d)
		}
	}
	if b, _ := (daruma.Digest{}).MarshalText(); len(b) != 0 {
		t.Errorf("no digest is written %q", b)
	}
}

// TestChain checks that every stored column is in the hash, each for itself.
func TestChain(t *testing.T) {
	e := daruma.Event{Seq: 2, Kind: "ab", Time: epoch, Actor: "c", Payload: []byte(`{}`)}
	hash := func(change func(*daruma.Event)) daruma.Digest {
		c := e
		change(&c)
		return daruma.Chain(daruma.Digest{1}, "t", "r", c)
	}
	all := []daruma.Digest{
		hash(func(*daruma.Event) {}),
		hash(func(e *daruma.Event) { e.Seq = 3 }),
		hash(func(e *daruma.Event) { e.Kind, e.Actor = "a", "bc" }),
		hash(func(e *daruma.Event) { e.Time = e.Time.Add(time.Microsecond) }),
		hash(func(e *daruma.Event) { e.Payload = []byte(`{ }`) }),
		daruma.Chain(daruma.Digest{2}, "t", "r", e),
		daruma.Chain(daruma.Digest{1}, "tr", "", e),
	}
	for i, a := range all {
		if slices.ContainsFunc(all[i+1:], func(b daruma.Digest) bool { return bytes.Equal(a[:], b[:]) }) {
			t.Errorf("hash %d is there twice", i)
		}
	}
}

func TestFailure(t *testing.T) {
	base := errors.New("base")
	for _, c := range []struct {
		err  error
		kind daruma.Kind
		text string
	}{
		{nil, daruma.KindUnknown, ""},
		{base, daruma.KindUnknown, "base"},
		{daruma.Fail("op", daruma.KindDenied, "no: %w", base), daruma.KindDenied, "op: no: base"},
		{fmt.Errorf("x: %w", daruma.Fail("", daruma.KindQuota, "q")), daruma.KindQuota, "x: q"},
		{daruma.Fail("op", daruma.KindUnknown, "%w", daruma.Fail("in", daruma.KindDown, "d")), daruma.KindDown, "op: in: d"},
		{daruma.Fail("op", daruma.KindUnknown, "%w", context.DeadlineExceeded), daruma.KindTimeout, "op: context deadline exceeded"},
		{context.Canceled, daruma.KindCancelled, "context canceled"},
		{&daruma.Failure{Kind: daruma.KindBroken}, daruma.KindBroken, "broken"},
		{&daruma.Failure{Op: "op", Kind: daruma.KindBroken}, daruma.KindBroken, "op: broken"},
	} {
		if got := daruma.KindOf(c.err); got != c.kind {
			t.Errorf("%v is of kind %s, want %s", c.err, got, c.kind)
		}
		if c.err != nil && c.err.Error() != c.text {
			t.Errorf("reads %q, want %q", c.err, c.text)
		}
	}
	if !errors.Is(daruma.Fail("op", daruma.KindDenied, "%w", base), base) {
		t.Error("the cause is lost")
	}
	for k := daruma.KindUnknown; k <= daruma.KindBroken; k++ {
		if k.Cause() > daruma.CauseConfiguration {
			t.Errorf("%s has the cause %s", k, k.Cause())
		}
	}
}

func TestLimitsCheck(t *testing.T) {
	noError(t, daruma.Limits{}.Check())
	noError(t, daruma.Limits{}.Filled().Check())
	for name, l := range map[string]daruma.Limits{
		"steps": {Steps: -1}, "time": {Time: -1}, "tokens": {Tokens: -1}, "money": {Money: -1}, "soft": {Soft: math.NaN()}, "depth": {Depth: -1}, "reflections": {Reflections: -1},
		"reflections_per_signal": {ReflectionsPerSignal: -1}, "parallel": {Parallel: -1}, "claims": {Claims: -1}, "approval_time": {ApprovalTime: -1}, "model_time": {ModelTime: -1},
	} {
		if err := l.Check(); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), "limit "+name+" is") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (daruma.Limits{Soft: 1.01}).Check(); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a soft edge above the hard one: %v", err)
	}
	if got := (daruma.Limits{Steps: 3, Soft: 1}).Filled(); got.Steps != 3 || got.Soft != 1 || got.Tokens != 100_000 || got.Money != 0 {
		t.Errorf("filled: %+v", got)
	}
}

// TestLimitsOver sets every field, so that one which Over forgets is found.
func TestLimitsOver(t *testing.T) {
	var full daruma.Limits
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.CanInt():
			f.SetInt(int64(i + 1))
		case f.CanUint():
			f.SetUint(1)
		default:
			f.SetFloat(0.5)
		}
		one := reflect.New(v.Type()).Elem()
		one.Field(i).Set(v.Field(i))
		if got := one.Interface().(daruma.Limits).Over(daruma.Limits{}); got != one.Interface() {
			t.Errorf("%s is not taken over: %+v", v.Type().Field(i).Name, got)
		}
	}
	if got := (daruma.Limits{}).Over(full); got != full {
		t.Errorf("zero fields change something: %+v", got)
	}
	base := daruma.Limits{Steps: 3, Tokens: 4}
	if got, want := (daruma.Limits{Steps: 9}).Over(base), (daruma.Limits{Steps: 9, Tokens: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
