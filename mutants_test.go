package daruma_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var mutants = flag.Bool("mutants", false, "build every mutant of testdata/mutants and demand that a test finds it; takes minutes")

// by measures one test: which mutants it finds alone.
var by = flag.String("mutants.by", "", "with -mutants: run this command alone on each mutant and count what it finds; survivors are no failures")

// mutant is a patch that breaks a promise, and the commands that must notice,
// each by itself.
type mutant struct {
	path string
	find [][]string
}

// TestMutants checks that every patch still applies; with -mutants it applies
// each to a copy of the tree, whose tests must fail, though they build, and
// runs the same tests on the copy as it is, where they must pass.
func TestMutants(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git to copy the tree and to apply patches")
	}
	all := readMutants(t)
	if len(all) < 10 {
		t.Fatalf("%d mutants, want at least 10", len(all))
	}
	clean := copyTree(t)
	for _, m := range all {
		if out, err := command(t.Context(), clean, "git", "apply", "--check", m.path).CombinedOutput(); err != nil {
			t.Errorf("%s applies no more: %s", filepath.Base(m.path), out)
		}
	}
	if !*mutants || t.Failed() {
		return
	}
	// Few trees, that keep their places: what a patch does not touch is built
	// once for all.
	trees := []string{clean}
	for len(trees) < min(4, runtime.GOMAXPROCS(0)) {
		trees = append(trees, copyTree(t))
	}
	lines := map[string][]string{}
	for i := range all {
		if *by != "" {
			all[i].find = [][]string{strings.Fields(*by)}
		}
		for _, find := range all[i].find {
			lines[strings.Join(find, " ")] = find
		}
	}
	inTrees(trees, slices.Sorted(maps.Keys(lines)), func(tree, line string) {
		if out, err := bounded(t, tree, lines[line]); err != nil {
			t.Errorf("the clean tree fails %s: %v\n%s", line, err, tail(out))
		}
	})
	if t.Failed() {
		return
	}
	var found atomic.Int64
	inTrees(trees, all, func(tree string, m mutant) {
		if m.tryIn(t, tree) {
			found.Add(1)
		}
	})
	t.Logf("%d of %d mutants found", found.Load(), len(all))
}

// inTrees does the jobs, one at a time in each tree.
func inTrees[T any](trees []string, jobs []T, do func(tree string, job T)) {
	queue := make(chan T, len(jobs))
	for _, job := range jobs {
		queue <- job
	}
	close(queue)
	var workers sync.WaitGroup
	for _, tree := range trees {
		workers.Go(func() {
			for job := range queue {
				do(tree, job)
			}
		})
	}
	workers.Wait()
}

// tryIn applies the mutant for a while, and reports whether every command
// finds it.
func (m *mutant) tryIn(t *testing.T, tree string) bool {
	name := strings.TrimSuffix(filepath.Base(m.path), ".patch")
	apply := func(args ...string) bool {
		out, err := command(t.Context(), tree, "git", slices.Concat([]string{"apply"}, args, []string{m.path})...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: git apply %v: %s", name, args, out)
		}
		return err == nil
	}
	if !apply() {
		return false
	}
	defer apply("-R")
	found := true
	for _, find := range m.find {
		line := strings.Join(find, " ")
		began := time.Now()
		out, err := bounded(t, tree, find)
		took := time.Since(began).Round(time.Second)
		switch {
		case err == nil && *by != "":
			t.Logf("%s survives", name)
		case err == nil:
			t.Errorf("%s survives %s", name, line)
		case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
			t.Errorf("%s does not build: %s", name, tail(out))
			return false
		default:
			t.Logf("%s is found by %s in %s: %s", name, line, took, firstFailure(out))
			continue
		}
		found = false
	}
	return found
}

// readMutants reads the patches and their "# find:" lines.
func readMutants(t *testing.T) []mutant {
	t.Helper()
	paths, err := filepath.Glob("testdata/mutants/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	var all []mutant
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var find [][]string
		for line := range strings.Lines(string(text)) {
			if line, ok := strings.CutPrefix(strings.TrimSpace(line), "# find: "); ok && strings.HasPrefix(line, "go test ") {
				find = append(find, strings.Fields(strings.ReplaceAll(line, "'", "")))
			}
		}
		if len(find) == 0 {
			t.Fatalf("%s has no line \"# find: go test …\"", path)
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, mutant{absolute, find})
	}
	return all
}

// copyTree copies what git tracks, as it is in the working tree.
func copyTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	listed, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z").Output()
	if err != nil {
		t.Skip("this is no checkout: ", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GOFLAGS=-buildvcs=false")
	return cmd
}

// bounded runs a test command; a mutant that hangs is found as well.
func bounded(t *testing.T, dir string, find []string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args := slices.Concat(find[1:], []string{"-count=1", "-timeout=2m"})
	return command(ctx, dir, find[0], args...).CombinedOutput()
}

func tail(out []byte) []byte { return out[max(0, len(out)-1500):] }

func firstFailure(out []byte) string {
	for line := range bytes.Lines(out) {
		if text := strings.TrimSpace(string(line)); strings.HasPrefix(text, "--- FAIL") || strings.HasPrefix(text, "panic:") {
			return text
		}
	}
	return "a failure"
}
