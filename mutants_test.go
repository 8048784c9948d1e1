package daruma_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
// each to a copy of the tree, which must build, and whose tests must fail, and
// runs the same tests on a clean copy, where they must pass.
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
	passed := map[string]bool{}
	found := 0
	for _, m := range all {
		if *by != "" {
			m.find = [][]string{strings.Fields(*by)}
		}
		name := strings.TrimSuffix(filepath.Base(m.path), ".patch")
		tree := copyTree(t)
		if out, err := command(t.Context(), tree, "git", "apply", m.path).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", name, out)
		}
		if out, err := command(t.Context(), tree, "go", "vet", ".", "./sqlite", "./agent", "./darumatest").CombinedOutput(); err != nil {
			t.Errorf("%s does not build: %s", name, tail(out))
			continue
		}
		survived := false
		for _, find := range m.find {
			line := strings.Join(find, " ")
			if !passed[line] {
				if out, err := bounded(t, clean, find); err != nil {
					t.Fatalf("the clean tree fails %s: %v\n%s", line, err, tail(out))
				}
				passed[line] = true
			}
			out, err := bounded(t, tree, find)
			if err == nil {
				survived = true
				if *by != "" {
					t.Logf("%s survives", name)
					continue
				}
				t.Errorf("%s survives %s", name, line)
				continue
			}
			t.Logf("%s is found by %s: %s", name, line, firstFailure(out))
		}
		if !survived {
			found++
		}
	}
	t.Logf("%d of %d mutants found", found, len(all))
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
