// Command branches measures the branch coverage of one package under its own
// tests, which go test -cover does not: there a line counts as covered when one
// way through it was taken.
//
//	go run -C bench ./branches -min 95 -full ladder.go,ladder_default.go ..
//
// Branches are, for each operand of a condition (what stands between &&, || and
// !, in an if, a for, a case of a switch without a value, or anywhere else where
// && or || stands), that it was true and that it was false; for each switch
// over a value or a type, each of its cases and, if it has no default, that none
// of them was met; for each range, that its body was entered.
//
//	go run -C bench ./branches -mutants 400 -seed 1 -v ..
//
// With -mutants it measures what the tests would notice: it draws so many small
// mistakes (a condition turned around, an edge on the other side, && for ||, +
// for -, a statement left out), and runs the tests with each of them. The
// package is built once, with all mutants in it, of which one is awake. A
// mutant that lives is a mistake no test sees, or one that makes no difference.
//
// The package is not changed: the compiler is given a copy of its files, which
// note in a file what happens for the first time. Exit code 1 means that a test
// failed or that a floor was missed; -v lists what was never seen.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/build"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	floor := flag.Float64("min", 0, "fail below this percentage")
	full := flag.String("full", "", "files, with commas between, of which every branch must be taken")
	run := flag.String("run", "", "only the tests that go test -run would run")
	all := flag.Bool("v", false, "list the branches that were never taken")
	mutants := flag.Int("mutants", 0, "how many mutants to draw instead")
	seed := flag.Uint64("seed", 1, "draws the mutants")
	skip := flag.String("skip", "", "tests that mutants are not shown to: those that look at files, not at what the package does")
	flag.Parse()
	dir := flag.Arg(0)
	if dir == "" {
		dir = "."
	}
	if *mutants > 0 {
		if err := hunt(dir, *mutants, *seed, *skip, *all); err != nil {
			fmt.Fprintln(os.Stderr, "branches:", err)
			os.Exit(1)
		}
		return
	}
	files, err := measure(dir, *run)
	good := files != nil && report(files, *floor, strings.FieldsFunc(*full, func(r rune) bool { return r == ',' }), *all)
	if err != nil {
		fmt.Fprintln(os.Stderr, "branches:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// measure runs the tests of the package in dir and returns the branches of each
// of its files, those that were taken marked: after a test that failed too, which
// is the error then.
func measure(dir, run string) (map[string][]branch, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "branches")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)

	var all []branch
	texts := map[string][]byte{}
	for _, name := range pkg.GoFiles {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		text, found, err := instrument(name, src, len(all))
		if err != nil {
			return nil, err
		}
		all, texts[name] = append(all, found...), text
	}
	taken := filepath.Join(tmp, "taken")
	texts["branches_taken.go"] = fmt.Appendf(nil, notes, pkg.Name, len(all), taken)
	overlay, err := overlaid(dir, tmp, texts)
	if err != nil {
		return nil, err
	}
	test := exec.Command("go", "test", "-count=1", "-timeout=5m", "-overlay", overlay, "-run", run, ".")
	test.Dir = dir
	out, failed := test.CombinedOutput()
	if failed != nil {
		failed = fmt.Errorf("%v: %w\n%s", test.Args, failed, out)
	}
	text, err := os.ReadFile(taken)
	if err != nil {
		return nil, cmp.Or(failed, err) // it was not built, or no test ran
	}
	for line := range bytes.Lines(text) {
		var n int
		if _, err := fmt.Sscan(string(line), &n); err != nil || n < 0 || n >= len(all) {
			return nil, fmt.Errorf("%q is not a branch of %d", line, len(all))
		}
		all[n].taken = true
	}
	files := map[string][]branch{}
	for _, b := range all {
		files[b.at.Filename] = append(files[b.at.Filename], b)
	}
	return files, failed
}

// overlaid writes the files that the compiler is to see in the place of those
// of the package, and returns the list of them.
func overlaid(dir, tmp string, texts map[string][]byte) (string, error) {
	replace := map[string]string{}
	for name, text := range texts {
		replace[filepath.Join(dir, name)] = filepath.Join(tmp, name)
		if err := os.WriteFile(filepath.Join(tmp, name), text, 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(tmp, "overlay.json")
	return file, os.WriteFile(file, list, 0o600)
}

// hunt builds the package in dir with its mutants and hunts them.
func hunt(dir string, wanted int, seed uint64, skip string, list bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "branches")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	texts, mutants, err := mutate(dir, pkg.GoFiles)
	if err != nil {
		return err
	}
	t := &trial{dir: dir, program: filepath.Join(tmp, "mutants.test"), taken: filepath.Join(tmp, "taken"), skip: skip, mutants: mutants}
	texts["branches_taken.go"] = fmt.Appendf(nil, notes, pkg.Name, len(mutants), t.taken)
	texts["branches_mutants.go"] = fmt.Appendf(nil, switches, pkg.Name)
	overlay, err := overlaid(dir, tmp, texts)
	if err != nil {
		return err
	}
	build := exec.Command("go", "test", "-c", "-o", t.program, "-overlay", overlay, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", build.Args, err, out)
	}
	return t.hunt(wanted, seed, list)
}

// report prints the figures and says whether they are above the floors.
func report(files map[string][]branch, floor float64, full []string, list bool) bool {
	good := true
	var taken, total int
	for _, name := range slices.Sorted(maps.Keys(files)) {
		n := 0
		for _, b := range files[name] {
			if b.taken {
				n++
			} else if list {
				fmt.Printf("%s: %s\n", b.at, b.what)
			}
		}
		fmt.Printf("%6.1f %%  %4d of %4d  %s\n", percent(n, len(files[name])), n, len(files[name]), name)
		taken, total = taken+n, total+len(files[name])
		if slices.Contains(full, name) && n < len(files[name]) {
			fmt.Printf("%s must have every branch taken\n", name)
			good = false
		}
	}
	fmt.Printf("%6.1f %%  %4d of %4d  branches\n", percent(taken, total), taken, total)
	for _, name := range full {
		if len(files[name]) == 0 {
			fmt.Printf("%s has no branches or is not there\n", name)
			good = false
		}
	}
	if percent(taken, total) < floor {
		fmt.Printf("below %v %%\n", floor)
		good = false
	}
	return good
}

func percent(n, of int) float64 {
	if of == 0 {
		return 100
	}
	return 100 * float64(n) / float64(of)
}
