package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeConfiguration builds every configuration that README.md shows.
func TestReadmeConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPENAI_API_KEY", "k")
	t.Setenv("ANTHROPIC_API_KEY", "k")
	blocks := strings.Split(string(readme), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("README.md shows no configuration")
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		builds(t, text)
	}
}

// TestManualConfiguration builds the configuration of the package comment,
// which has every key.
func TestManualConfiguration(t *testing.T) {
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"API_KEY", "ANTHROPIC_API_KEY", "FILES_TOKEN"} {
		t.Setenv(name, "k")
	}
	_, text, _ := strings.Cut(string(manual), "// # Configuration\n")
	text, _, _ = strings.Cut(text, "// # Exit codes")
	var lines []string
	for line := range strings.Lines(text) {
		if line, ok := strings.CutPrefix(line, "//\t"); ok {
			lines = append(lines, line)
		}
	}
	builds(t, strings.Join(lines, ""))
}

// builds reads a configuration and makes everything it names, servers excepted.
func builds(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "daruma.yaml")
	for name, text := range map[string]string{path: text, filepath.Join(dir, "backup.txt"): "model any\n  say \"hi\"\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if sys, err := c.build(); err != nil || len(sys.agents) == 0 {
		t.Errorf("%v in\n%s", err, text)
	}
}
