package detect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

func TestCanonical(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":2}`, `{"b": 2.0, "A": "1"}`, true},
		{`{"q":"x y"}`, `{"q":" x \n y ", "n":null, "e":"", "l":[], "o":{"x":null}}`, true},
		{`{"q":"x","trace_id":"1"}`, `{"q":"x","traceId":"2","Reason":"why"}`, true},
		{`{"q":"x","timestamp":1}`, `{"q":"y","timestamp":1}`, false},
		{`{"reason":"a"}`, `{"reason":"b"}`, false},
		{`{"page":1}`, `{"page":2}`, false},
		{`{"q":"x"}`, `{"q":"X"}`, false},
		{`[1,null,2]`, `[1,2]`, false},
		{`[null]`, `[""]`, false},
		{`{"a":1,"a":2}`, `{"a":2}`, true},
		{``, ` `, true},
		{`not  json`, "not\njson", true},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":1} x`, `{"a":1} y`, false},
	} {
		if got := canonical(test.a) == canonical(test.b); got != test.same {
			t.Errorf("%s is %s\n%s is %s", test.a, canonical(test.a), test.b, canonical(test.b))
		}
	}
}

func TestMask(t *testing.T) {
	for _, test := range []struct{ text, read, other string }{
		{"a  b\n\tc", "a b c", "a b c"},
		{"took 12 ms", "took #", "took #"},
		{"took 0.35s, 3 seconds", "took #, #", "took #, #"},
		{"at 12:30:05.123 on 2026-01-02", "at # on 2026-01-02", "at # on #-#-#"},
		{"2026-01-02T03:04:05.6Z and 2026-01-02 03:04:05+01:00", "# and #", "# and #"},
		{"id 123e4567-e89b-12d3-a456-426614174000", "id #", "id #"},
		{"commit 7f3a9c0d at 0x7ffe12ab", "commit # at #", "commit # at #"},
		{"deadbeef facade", "deadbeef facade", "deadbeef facade"},
		{"order 12345678", "order 12345678", "order #"},
		{"since 1760000000", "since #", "since #"},
		{"40% of 7", "40% of 7", "40% of #"},
		{"12.5 % and 12.5%", "12.5 % and 12.5%", "#.5 % and 12.5%"},
		{"3/7 files, part 2 of 9", "3/7 files, part 2 of 9", "3/7 files, part 2 of 9"},
		{"on 1/2/2026 in /a/1/2/b", "on 1/2/2026 in /a/1/2/b", "on #/#/# in /a/#/#/b"},
		{"x12y3", "x12y3", "x#y#"},
		{"step 3", "step 3", "step #"},
		{"wait 3s5", "wait 3s5", "wait #s#"},
	} {
		if got := mask(test.text, true); got != test.read {
			t.Errorf("read: %q is %q; want %q", test.text, got, test.read)
		}
		if got := mask(test.text, false); got != test.other {
			t.Errorf("other: %q is %q; want %q", test.text, got, test.other)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{`no file "a.txt"`, `no file "b.txt"`, true},
		{`line 3: bad`, `line 14: bad`, true},
		{"can't open 'x'", "can't open 'y'", true},
		{"not found", "permission denied", false},
		{strings.Repeat("x ", 200) + "a", strings.Repeat("x ", 200) + "b", true},
		{"Traceback (most recent call last)" + strings.Repeat(" x", 200) + " KeyError", "Traceback (most recent call last)" + strings.Repeat(" x", 200) + " ValueError", false},
	} {
		if got := errorText(test.a) == errorText(test.b); got != test.same {
			t.Errorf("%q is %q\n%q is %q", test.a, errorText(test.a), test.b, errorText(test.b))
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"B":"x"}],"reason":"r"}`, `{"a":1e999999999}`, `"x`, `{"a":null}`, `{"İ":1,"i̇":2}`, `{"` + "\xff" + `":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, args string) {
		once := canonical(args)
		if again := canonical(once); json.Valid([]byte(args)) && again != once {
			t.Fatalf("%q is %q is %q", args, once, again)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("took 12 ms at 12:30 for 3/7 of 40.5% 0x7ffe12ab \"x\" 'y'")
	f.Add("µs 3µs \xff 1.s 1:2:3")
	f.Fuzz(func(t *testing.T, text string) {
		for _, digits := range []bool{false, true} {
			if got := mask(text, digits); len(got) > 2*len(text)+1 || strings.Contains(got, "  ") {
				t.Fatalf("%q is %q", text, got)
			}
		}
		if n := len([]rune(errorText(text))); n > 200 {
			t.Fatalf("error of %d characters", n)
		}
	})
}

func FuzzMark(f *testing.F) {
	f.Add(mark{score: 4, changed: true, entries: []entry{{"AAAAAAAA", "BBBBBB", "CCCCCC", "12/3"}, {"AAAAAAAA", "BBBBBB", "-", ""}}}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if m, ok := parseMark(text); ok {
			if again, ok := parseMark(m.String()); !ok || again.String() != m.String() {
				t.Fatalf("%q is %q", text, m.String())
			}
		}
		calls := []daruma.Call{did("a", "b", "c")}
		if _, kept, skipped := Results(ResultsInput{Calls: calls, Marks: []string{text, text}}); skipped > 0 || len(kept) > maxMark {
			t.Fatalf("%q: mark %q", text, kept)
		}
	})
}

// BenchmarkWorst is the work on the worst input there is.
func BenchmarkWorst(b *testing.B) {
	var calls []daruma.Call
	for range 16 {
		calls = append(calls, did("t", `{"a":"`+strings.Repeat("1/2 ", 8<<10)+`"}`, strings.Repeat(`"1:2 3.4/5`, 4<<10)), did("t", "{}", "!"+strings.Repeat("\"1", 16<<10)))
	}
	for b.Loop() {
		Results(ResultsInput{Calls: calls})
	}
}

func BenchmarkResults(b *testing.B) {
	call := did("t", `{"path":"/a/b.go","line":12,"request_id":"x"}`, strings.Repeat("some text of 3 lines, 12 ms\n", 140))
	var marks []string
	for range 16 {
		_, kept, _ := Results(ResultsInput{Calls: []daruma.Call{call}, Marks: marks})
		marks = append(marks, kept)
	}
	for b.Loop() {
		Results(ResultsInput{Calls: []daruma.Call{call}, Marks: marks})
	}
}
