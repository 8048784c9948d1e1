package daruma_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// heavy is what a program that embeds an agent must not get with it.
var heavy = map[string]string{
	"github.com/alecthomas/kong":      "the command line belongs to cmd/daruma",
	"github.com/goccy/go-yaml":        "the configuration file belongs to cmd/daruma",
	"github.com/google/cel-go":        "rules are opt-in",
	"go.opentelemetry.io":             "telemetry is opt-in",
	"go.uber.org/goleak":              "belongs to tests",
	"github.com/google/go-cmp":        "belongs to tests",
	"github.com/rogpeppe/go-internal": "belongs to tests",
	"pgregory.net/rapid":              "belongs to tests",
	"testing":                         "belongs to tests",
	module + "/darumatest":            "belongs to tests",
	module + "/cmd":                   "the roof is imported by nobody",
	"net/http/pprof":                  "opens a door of its own",
	"expvar":                          "opens a door of its own",
}

// TestLibraryFaceIsLight asks the go tool what comes along with each package a
// program would import. It takes a second or two; -short leaves it out.
func TestLibraryFaceIsLight(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go list; left out with -short")
	}
	args := []string{"list", "-deps", "-f", "{{.ImportPath}}"}
	face := []string{".", "./agent", "./check", "./detect", "./model", "./model/openai", "./model/anthropic", "./model/route", "./tool", "./sqlite"}
	for _, pkg := range face {
		if _, err := os.Stat(pkg); err != nil {
			t.Fatalf("the library face names %s: %v", pkg, err)
		}
	}
	out, err := exec.Command("go", append(args, face...)...).Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "\n"); n < 50 {
		t.Fatalf("go list named %d packages; that cannot be all", n)
	}
	for pkg := range strings.Lines(string(out)) {
		pkg = strings.TrimSpace(pkg)
		for prefix, why := range heavy {
			if pkg == prefix || strings.HasPrefix(pkg, prefix+"/") {
				t.Errorf("the library face pulls in %s: %s", pkg, why)
			}
		}
	}
}
