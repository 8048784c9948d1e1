package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gateMain stands between daruma and a real MCP server: GATE names the request
// at which it stops, as "write_file 1 before" (the first call of that tool is
// not passed on) or "… after" (its answer is not passed back). Once it stops it
// leaves a mark and waits for the end of its input. Every call that the server
// gets is noted.
func gateMain() {
	dir := os.Args[1]
	server := exec.Command(os.Args[2], os.Args[3:]...)
	server.Stderr = os.Stderr
	to, err := server.StdinPipe()
	if err != nil {
		panic(err)
	}
	from, err := server.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := server.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	note := func(name, line string) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(f, line)
		f.Close()
	}
	var tool, when string
	var nth int
	stop := ""
	if plan, err := os.ReadFile(filepath.Join(dir, "plan")); err == nil {
		fmt.Sscan(string(plan), &tool, &nth, &when)
		stop = fmt.Sprintf(`"name":"%s"`, tool)
	}
	closed := make(chan struct{})
	holding := make(chan struct{})
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		for lines := bufio.NewReader(from); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			select {
			case <-holding: // the answer to the call, or what came beside it
				if bytes.Contains(line, []byte(`"result"`)) {
					note("mark", "after")
					<-closed
					return
				}
			default:
			}
			os.Stdout.Write(line)
		}
	}()
	for lines := bufio.NewReader(os.Stdin); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		if bytes.Contains(line, []byte(`"tools/call"`)) {
			if stop != "" && bytes.Contains(line, []byte(stop)) {
				if nth--; nth == 0 {
					if when == "before" {
						note("mark", "before")
						io.Copy(io.Discard, os.Stdin)
						break
					}
					close(holding)
				}
			}
			note("calls", strings.TrimSpace(string(line)))
		}
		to.Write(line)
	}
	close(closed)
	to.Close()
	<-answers
	server.Wait()
	os.Exit(0)
}

const gatedConfig = `models:
  primary: {url: "%[1]s/v1", price: {free: true}}
mcp:
  files:
    command: %[2]s/mcpgate
    args: ["%[2]s/files", node, "%[3]s/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js", "%[2]s/notes"]
    allow: [read_text_file, write_file, edit_file]
    tools:
      read_text_file: {effect: read}
      write_file: {effect: idempotent}
      edit_file:
        on_doubt: verify
        verify: {tool: read_text_file, arguments: {path: "${args.path}"}, done: "${args.edits.0.newText}"}
  everything:
    command: %[2]s/mcpgate
    args: ["%[2]s/everything", node, "%[3]s/node_modules/@modelcontextprotocol/server-everything/dist/index.js"]
    prefix: every_
    allow: [get-sum]
    tools: {get-sum: {effect: read}}
agents:
  clerk: {models: [primary], tools: ["files/*", everything/get-sum], limits: {steps: 40}}
`

// minutes is what the file holds in the end: every edit once.
const minutes = "# Minutes\n\nThe meeting was opened.\n\nThe budget was agreed.\n\nFive came.\n"

// TestMCPServers kills daruma around the calls of real MCP servers: before the
// request arrives, after the work is done, and anywhere. Resumed, the files are
// as they should be, and every edit was made once.
func TestMCPServers(t *testing.T) {
	servers := os.Getenv("DARUMA_MCP_SERVERS")
	if servers == "" {
		t.Skip("DARUMA_MCP_SERVERS is not set; accepted: a folder in which npm has installed @modelcontextprotocol/server-filesystem and server-everything")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	url := fakeProvider(t, self, filepath.Join("..", "..", "examples", "mcp", "clerk.txt"))
	plans := []string{"get-sum 1 before", "write_file 1 before", "write_file 1 after",
		"edit_file 1 before", "edit_file 1 after", "edit_file 2 before", "edit_file 2 after", "read_text_file 1 after"}
	for range 6 {
		plans = append(plans, fmt.Sprintf("any %d ms", rand.IntN(80)))
	}
	for _, plan := range plans {
		t.Run(plan, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"files", "everything", "notes"} {
				if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"daruma", "mcpgate"} {
				if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(dir, "daruma.yaml"), fmt.Sprintf(gatedConfig, url, dir, servers))
			gate := filepath.Join(dir, "files")
			if strings.HasPrefix(plan, "get-sum") {
				gate = filepath.Join(dir, "everything")
			}
			write(t, filepath.Join(gate, "plan"), plan)
			first := exec.Command(filepath.Join(dir, "daruma"), "run", "clerk", "-i", "Keep the minutes.", "--id", "one")
			first.Dir = dir
			var out bytes.Buffer
			first.Stdout, first.Stderr = &out, &out
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			mark := filepath.Join(gate, "mark")
			after, anywhere := strings.CutPrefix(plan, "any ")
			if anywhere {
				mark = filepath.Join(gate, "calls") // the work begins
			}
			if !awaitFile(mark) {
				first.Process.Kill()
				first.Wait()
				t.Fatalf("daruma did not come to %q:\n%s", plan, &out)
			}
			if anywhere {
				d, err := time.ParseDuration(strings.ReplaceAll(after, " ", ""))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(d)
			}
			first.Process.Kill()
			first.Wait()
			os.Remove(filepath.Join(gate, "plan"))

			said := darumaIn(t, dir, "resume", "--no-wait")
			story := darumaIn(t, dir, "show", "one")
			if got, err := os.ReadFile(filepath.Join(dir, "notes", "minutes.md")); err != nil || string(got) != minutes {
				t.Errorf("the file holds %q, %v\n%s\nresumed:\n%s\nstory:\n%s", got, err, &out, said, story)
			}
			calls, _ := os.ReadFile(filepath.Join(dir, "files", "calls"))
			if n := strings.Count(string(calls), `"name":"edit_file"`); n != 2 {
				t.Errorf("the server was asked for %d edits, want 2: before the kill it did not hear of one that came again\n%s", n, calls)
			}
			most := 1
			if plan == "write_file 1 after" || strings.HasPrefix(plan, "any") {
				most = 2 // in doubt: the same text again, to the same file
			}
			if n := strings.Count(string(calls), `"name":"write_file"`); n < 1 || n > most {
				t.Errorf("the server was asked for %d writes, want 1 to %d\n%s", n, most, calls)
			}
			if !strings.Contains(story, "■ completed") {
				t.Errorf("the story has no good end:\n%s", story)
			}
			if strings.HasPrefix(plan, "edit_file") && !strings.Contains(story, "verify: asks the tool whether it happened") {
				t.Errorf("the story does not tell of the doubt:\n%s", story)
			}
			if plan == "edit_file 1 after" {
				t.Logf("the story:\n%s", story)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitFile waits until a file is there, and reports whether it came.
func awaitFile(path string) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		if _, err := os.Stat(path); err == nil {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// darumaIn runs the command to its end, whatever its exit code is.
func darumaIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(dir, "daruma"), args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("daruma %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fakeProvider runs daruma fake, and returns its address.
func fakeProvider(t *testing.T, self, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "daruma")); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(dir, "daruma"), "fake", script)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	url, _, found := strings.Cut(line, "/v1 ")
	if err != nil || !found {
		t.Fatalf("daruma fake said %q, %v", line, err)
	}
	return url
}
