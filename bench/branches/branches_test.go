package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sample has branches of every sort; its test takes some of them, and notices
// some of the mutants.
const sample = `package sample

const big = 1 << 3

func Grade(n int, ok bool) string {
	if ok && n > big-1 || !ok && n < 0 {
		return "odd"
	}
	for range n {
		n--
	}
	switch n {
	case 0:
		n++
	case 7:
		return "seven"
	}
	switch any(n).(type) {
	case int:
	default:
		return "no"
	}
	switch {
	case n == 1:
		return "one"
	}
	return "more"
}
`

const sampleTest = `package sample

import "testing"

func TestGrade(t *testing.T) {
	if Grade(8, true) != "odd" || Grade(7, true) != "one" || Grade(0, true) != "one" {
		t.Error("wrong")
	}
}
`

func write(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module sample\n\ngo 1.26\n", "sample.go": sample, "sample_test.go": sampleTest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMeasure(t *testing.T) {
	files, err := measure(write(t), "")
	if err != nil {
		t.Fatal(err)
	}
	var missed []string
	for _, b := range files["sample.go"] {
		if !b.taken {
			missed = append(missed, b.at.String()+" "+b.what)
		}
	}
	want := []string{
		"sample.go:6:5 never false", "sample.go:6:25 never false", // ok, twice: the test never says no
		"sample.go:6:31 never true", "sample.go:6:31 never false", // never asked
		"sample.go:15:2 the case is never met", "sample.go:12:11 never is no case met",
		"sample.go:20:2 the case is never met", "sample.go:24:7 never false",
	}
	slices.Sort(want)
	slices.Sort(missed)
	if len(files["sample.go"]) != 16 || !slices.Equal(missed, want) {
		t.Errorf("%d branches, missed\n%q, want\n%q", len(files["sample.go"]), missed, want)
	}
	if report(files, 51, nil, false) || !report(files, 50, nil, false) || report(files, 0, []string{"sample.go"}, false) {
		t.Error("the floors do not hold")
	}
}

// TestHunt wants the mutants of what the test looks at killed, and others to live.
func TestHunt(t *testing.T) {
	dir := write(t)
	_, mutants, err := mutate(dir, []string{"sample.go"})
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, m := range mutants {
		what = append(what, m.from+": "+m.what)
	}
	for _, want := range []string{"ok && n > big-1: ||", "n > big-1: the edge on the other side", "n < 0: the opposite", "n--: left out", "n == 1: the opposite"} {
		if !slices.Contains(what, want) {
			t.Errorf("no mutant %q of %q", want, what)
		}
	}
	if slices.Contains(what, "big-1: + and - exchanged") {
		t.Error("a constant is mutated")
	}
	if err := hunt(dir, 1000, 1, "", true); err != nil {
		t.Error(err)
	}
}
