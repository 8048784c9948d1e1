package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool/mcp"
)

// startServers starts the MCP servers that agents use, all at once, so that
// the agents that are built from now on have their tools. Agents narrow it to
// some; none means all. Owner says that this process performs the runs: it
// waits until servers of a process before it have ended. The function that is
// returned ends the servers, and is never nil.
func (p *program) startServers(ctx context.Context, c *config, owner bool, agents ...string) (stop func(), err error) {
	c.servers = map[string]*mcp.Server{}
	stop = func() {
		var all sync.WaitGroup
		for _, s := range c.servers {
			all.Go(s.Close)
		}
		all.Wait()
	}
	configs, err := c.buildMCP()
	if err != nil {
		return stop, err
	}
	used := c.usedServers(agents)
	servers, errs := make([]*mcp.Server, len(used)), make([]error, len(used))
	var all sync.WaitGroup
	var print sync.Mutex
	for i, name := range used {
		all.Go(func() {
			slow := time.AfterFunc(time.Second, func() {
				print.Lock()
				defer print.Unlock()
				fmt.Fprintf(p.errors, "starting the MCP server %s …\n", name)
			})
			defer slow.Stop()
			config := configs[name]
			if config.Command != "" {
				if owner {
					config.Lock = c.mcpFile(name, "lock")
				}
				config.Log = &serverLog{path: c.mcpLog(name)}
			}
			servers[i], errs[i] = mcp.Start(ctx, config)
		})
	}
	all.Wait()
	for i, name := range used {
		if errs[i] == nil {
			c.servers[name] = servers[i]
		}
	}
	for i, name := range used {
		err := errs[i]
		switch {
		case err == nil:
		case c.MCP[name].Optional && ctx.Err() == nil && daruma.KindOf(err) != daruma.KindInvalid:
			fmt.Fprintf(p.errors, "the MCP server %s did not start, and the agents do without its tools: %s\n", name, printable(unwrapped(err).Error()))
		default:
			stop()
			text := fmt.Sprintf("%s: mcp.%s: %s", c.line("mcp."+name), name, printable(unwrapped(err).Error()))
			return func() {}, daruma.Fail("config", daruma.KindOf(err), "%s", text)
		}
	}
	return stop, nil
}

// usedServers are the servers whose tools the agents have, by name.
func (c *config) usedServers(agents []string) []string {
	used := map[string]bool{}
	for name, a := range c.Agents {
		if len(agents) > 0 && !slices.Contains(agents, name) {
			continue
		}
		for _, entry := range a.Tools {
			if server, _, ok := strings.Cut(entry, "/"); ok {
				used[server] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// serverLog is a file that takes what a server writes to standard error. It is
// begun anew when it is full, and the one before is kept: twice maxServerLog
// at most. What cannot be written is dropped.
type serverLog struct {
	path string
}

// maxServerLog is in bytes.
const maxServerLog = 1 << 20

// Write implements [io.Writer].
func (l *serverLog) Write(b []byte) (int, error) {
	if info, err := os.Stat(l.path); err == nil && info.Size()+int64(len(b)) > maxServerLog {
		os.Rename(l.path, l.path+".1")
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return len(b), nil
	}
	defer f.Close()
	f.Write(b[max(0, len(b)-maxServerLog):])
	return len(b), nil
}
