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
		path := filepath.Join(t.TempDir(), "daruma.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		if sys, err := c.build(); err != nil || len(sys.agents) == 0 {
			t.Errorf("%d agents, %v in\n%s", len(sys.agents), err, text)
		}
	}
}
