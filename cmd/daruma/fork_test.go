package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

// itself runs this test binary as the command.
func itself(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = "daruma"
	return cmd
}

// TestForkTheDemo plays the demo and forks it as its last lines tell: before
// the refund, and from its second turn on with the other model. However often,
// one refund stands in the ledger.
func TestForkTheDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := filepath.Join(t.TempDir(), "demo")
	out, err := itself(t, "demo", "--yes", "--keep", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config := filepath.Join(dir, configFile)
	told := regexp.MustCompile(`daruma fake (\S+) --addr (\S+) --ledger (\S+)`).FindStringSubmatch(string(out))
	at := regexp.MustCompile(`daruma fork demo --at (\S+) `).FindStringSubmatch(string(out))
	if told == nil || at == nil {
		t.Fatalf("the demo does not tell how to fork it:\n%s", out)
	}
	fake := itself(t, "fake", told[1], "--addr", told[2], "--ledger", told[3])
	serves, err := fake.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fake.Start(); err != nil {
		t.Fatal(err)
	}
	defer fake.Wait()
	defer fake.Process.Kill()
	if _, err := bufio.NewReader(serves).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for i, args := range [][]string{{"--at", at[1]}, {"--at", "2", "--model", "backup", "--effects", "allow"}} {
		id := fmt.Sprint("fork", i)
		args = append([]string{"fork", "demo", "--id", id, "-c", config, "-o", "json", "--no-wait"}, args...)
		out, err := itself(t, args...).Output()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		var r resultJSON
		if err := json.Unmarshal(out, &r); err != nil || r.State != daruma.Completed || !strings.Contains(r.Answer, "R-1") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	ledger, err := os.ReadFile(told[3])
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(ledger), `"refund"`); strings.Count(string(ledger), "\n") != 1 || n == 0 {
		t.Errorf("the ledger holds\n%s", ledger)
	}
	out, err = itself(t, "show", "demo", "-c", config).Output()
	if err != nil || !strings.Contains(string(out), "forked by fork0") || !strings.Contains(string(out), "forked by fork1") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExportedGoTest puts an exported test into a module of its own, as a user
// would: it passes; with another decision in the recording it fails and says
// which.
func TestExportedGoTest(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("s.txt", "model primary\n  when turn 1\n    fault 503\n  always\n    say \"Good `day` \u2028\"\n")
	write("daruma.yaml", "journal: "+filepath.Join(dir, "j.db")+"\nmodels: {primary: {script: s.txt, price: {free: true}}}\nagents: {desk: {models: [primary]}}\n")
	config := filepath.Join(dir, "daruma.yaml")
	run := itself(t, "run", "desk", "-i", "hello", "--id", "one-1", "-c", config)
	run.Dir = dir
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := itself(t, "run", "export", "one-1", "--go-test", "-c", config).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	version := regexp.MustCompile(`(?m)^go .*$`).FindString(string(must(os.ReadFile(filepath.Join(root, "go.mod")))))
	write("go.mod", "module example.com/user\n\n"+version+"\n\nrequire github.com/daruma-run/daruma v0.0.0\n\nreplace github.com/daruma-run/daruma => "+root+"\n")
	write("one_test.go", string(out))
	test := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), goTool, "test", "-vet=off", "./...")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := test(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	r, err := record(t.Context(), must(sqlite.OpenReader(t.Context(), filepath.Join(dir, "j.db"))), "one-1")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range r.Events {
		if e.Kind == daruma.KindMove {
			r.Events[i].Payload = []byte(strings.Replace(string(e.Payload), `"remedy":"retry"`, `"remedy":"reflect"`, 1))
		}
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	src, err := goTest("runs_test", r.Run, b.String())
	if err != nil {
		t.Fatal(err)
	}
	write("one_test.go", string(src))
	if out, err := test(); err == nil || !strings.Contains(out, `remedy: "reflect" → "retry"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestGoString(t *testing.T) {
	for text, want := range map[string]string{"a": "`a`", "a`b": "`a` + \"`\" + `b`", "a\rb": `"a\rb"`, "\ufeff": "`` + \"\\ufeff\" + ``", "\xff": `"\xff"`} {
		if got := goString(text); got != want {
			t.Errorf("%q is written %s, want %s", text, got, want)
		}
	}
	for id, want := range map[daruma.RunID]string{"one-1": "One1", "run_0abc": "Run0abc", "demo": "Demo", "7": "7"} {
		if got := goName(id); got != want {
			t.Errorf("%s is called %s, want %s", id, got, want)
		}
	}
	if _, err := goTest("my pkg", "r", ""); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a package called my pkg: %v", err)
	}
}
