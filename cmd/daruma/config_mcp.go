package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
	"github.com/daruma-run/daruma/tool/mcp"
)

// mcpConfig is an MCP server whose tools agents get: a program, or an address.
type mcpConfig struct {
	Command          string                   `yaml:"command"` // looked up in PATH; with a slash beside the file
	Args             []string                 `yaml:"args"`
	Dir              string                   `yaml:"dir"`          // working directory; default that of daruma
	Env              map[string]string        `yaml:"env"`          // variables for it
	EnvFrom          map[string]string        `yaml:"env_from"`     // its variables, by the variable here that holds the value
	Log              string                   `yaml:"log"`          // what it writes to standard error; default beside the journal
	URL              string                   `yaml:"url"`          // streamable HTTP instead of command
	Headers          map[string]string        `yaml:"headers"`      // of every request
	HeadersFrom      map[string]string        `yaml:"headers_from"` // by the variable that holds the value
	TokenEnv         string                   `yaml:"token_env"`    // variable with the token for Authorization: Bearer
	Prefix           string                   `yaml:"prefix"`       // in front of the names of its tools
	Allow            []string                 `yaml:"allow"`        // tools that are taken; default all
	Deny             []string                 `yaml:"deny"`         // tools that are not
	TrustAnnotations bool                     `yaml:"trust_annotations"`
	Optional         bool                     `yaml:"optional"` // agents do without when it does not start
	KeyMeta          string                   `yaml:"key_meta"` // field of _meta for idempotency keys
	Timeout          string                   `yaml:"timeout"`
	StartTimeout     string                   `yaml:"start_timeout"`
	Protocol         string                   `yaml:"protocol"`
	Tools            map[string]mcpToolConfig `yaml:"tools"` // what its tools do, by its own names
}

type mcpToolConfig struct {
	Effect       string           `yaml:"effect"`
	Risk         string           `yaml:"risk"`
	OnDoubt      string           `yaml:"on_doubt"`
	Capability   string           `yaml:"capability"`
	Alternatives []string         `yaml:"alternatives"`
	ReplaceWrite bool             `yaml:"replace_write"`
	Repeat       string           `yaml:"repeat"`
	Approve      bool             `yaml:"approve"`
	Timeout      string           `yaml:"timeout"`
	KeyArgument  string           `yaml:"key_argument"` // argument for idempotency keys
	KeyMeta      string           `yaml:"key_meta"`
	Verify       *mcpVerifyConfig `yaml:"verify"`
	Pin          string           `yaml:"pin"` // digest its definition must have
}

// mcpVerifyConfig asks another tool of the server whether a call happened.
type mcpVerifyConfig struct {
	Tool      string         `yaml:"tool"`
	Arguments map[string]any `yaml:"arguments"`
	Done      string         `yaml:"done"`
	Absent    string         `yaml:"absent"`
}

// buildMCP checks the servers and returns how to start them, by name.
func (c *config) buildMCP() (map[string]mcp.Config, error) {
	all := map[string]mcp.Config{}
	for _, name := range slices.Sorted(maps.Keys(c.MCP)) {
		built, err := c.buildServer(name, c.MCP[name])
		if err != nil {
			return nil, err
		}
		all[name] = built
	}
	return all, nil
}

func (c *config) buildServer(name string, m mcpConfig) (mcp.Config, error) {
	path := "mcp." + name
	out := mcp.Config{Name: name, Command: m.Command, Args: m.Args, URL: m.URL, Prefix: m.Prefix, Allow: m.Allow, Deny: m.Deny,
		TrustAnnotations: m.TrustAnnotations, KeyMeta: m.KeyMeta, Protocol: m.Protocol, Tools: map[string]mcp.Tool{}}
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return out, c.bad(path, "the name of a server; accepted: letters, digits, '_' and '-'")
	}
	switch {
	case (m.Command == "") == (m.URL == ""):
		return out, c.bad(path, "command is %q, url %q; accepted: one of them", m.Command, m.URL)
	case m.URL != "" && (m.Args != nil || m.Dir != "" || m.Env != nil || m.EnvFrom != nil || m.Log != ""):
		return out, c.bad(path, "args, dir, env, env_from and log are for a command; accepted: headers, headers_from, token_env")
	case m.Command != "" && (m.Headers != nil || m.HeadersFrom != nil || m.TokenEnv != ""):
		return out, c.bad(path, "headers, headers_from and token_env are for a url; accepted: env, env_from")
	case m.URL != "":
		if err := webAddress(m.URL); err != nil {
			return out, c.bad(path+".url", "%v", err)
		}
	}
	if strings.ContainsRune(m.Command, '/') {
		out.Command = c.beside(m.Command)
	}
	if m.Dir != "" {
		out.Dir = c.beside(m.Dir)
	}
	for _, variable := range slices.Sorted(maps.Keys(m.Env)) {
		out.Env = append(out.Env, variable+"="+m.Env[variable])
	}
	err := c.fromEnvironment(path+".env_from", m.EnvFrom, func(variable, value string) { out.Env = append(out.Env, variable+"="+value) })
	if err != nil {
		return out, err
	}
	out.Header = http.Header{}
	for header, value := range m.Headers {
		out.Header.Set(header, value)
	}
	if err := c.fromEnvironment(path+".headers_from", m.HeadersFrom, out.Header.Set); err != nil {
		return out, err
	}
	if m.TokenEnv != "" {
		set := func(_, value string) { out.Header.Set("Authorization", "Bearer "+value) }
		if err := c.fromEnvironment(path, map[string]string{"token_env": m.TokenEnv}, set); err != nil {
			return out, err
		}
	}
	if out.Timeout, err = c.duration(path+".timeout", m.Timeout); err != nil {
		return out, err
	}
	if out.StartTimeout, err = c.duration(path+".start_timeout", m.StartTimeout); err != nil {
		return out, err
	}
	for _, tool := range slices.Sorted(maps.Keys(m.Tools)) {
		if out.Tools[tool], err = c.buildMCPTool(path+".tools."+tool, m.Tools[tool]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (c *config) buildMCPTool(path string, t mcpToolConfig) (mcp.Tool, error) {
	out := mcp.Tool{KeyArgument: t.KeyArgument, KeyMeta: t.KeyMeta, Pin: t.Pin, Spec: daruma.ToolSpec{
		Capability: t.Capability, Alternatives: t.Alternatives, ReplaceWrite: t.ReplaceWrite, Approve: t.Approve}}
	var effect daruma.Effect
	for _, f := range []struct {
		key, value string
		into       interface{ UnmarshalText([]byte) error }
	}{{"effect", t.Effect, &effect}, {"risk", t.Risk, &out.Spec.Risk}, {"on_doubt", t.OnDoubt, &out.Spec.OnDoubt}, {"repeat", t.Repeat, &out.Spec.Repeat}} {
		if f.value == "" {
			continue
		}
		if err := f.into.UnmarshalText([]byte(f.value)); err != nil {
			return out, c.bad(path+"."+f.key, "%v", unwrapped(err))
		}
	}
	if t.Effect != "" {
		out.Effect = &effect
	}
	timeout, err := c.duration(path+".timeout", t.Timeout)
	out.Spec.Timeout = daruma.Duration(timeout)
	if v := t.Verify; v != nil {
		out.Verify = &mcp.Verify{Tool: v.Tool, Arguments: v.Arguments, Done: v.Done, Absent: v.Absent}
	}
	return out, err
}

// beside reads a path as relative to the file.
func (c *config) beside(path string) string {
	if filepath.IsAbs(path) || c.file == "" {
		return path
	}
	if abs, err := filepath.Abs(filepath.Join(filepath.Dir(c.file), path)); err == nil {
		return abs
	}
	return path
}

// fromEnvironment sets values that stand in variables. A variable that is not
// set is an error.
func (c *config) fromEnvironment(path string, from map[string]string, set func(name, value string)) error {
	for _, name := range slices.Sorted(maps.Keys(from)) {
		value, ok := os.LookupEnv(from[name])
		if !ok || value == "" {
			return c.bad(path+"."+name, "the environment variable %s is not set; accepted: the name of one that holds the value", from[name])
		}
		set(name, value)
	}
	return nil
}

// mcpTools returns the tools that an entry such as files/read_file or files/*
// of an agent means; none before the servers are started.
func (c *config) mcpTools(path, entry string) ([]tool.Tool, error) {
	name, own, _ := strings.Cut(entry, "/")
	m, ok := c.MCP[name]
	if !ok {
		return nil, c.bad(path, "the MCP server %q is not declared; declared: %s", name, names(c.MCP))
	}
	if own != "*" && (slices.Contains(m.Deny, own) || len(m.Allow) > 0 && !slices.Contains(m.Allow, own)) {
		return nil, c.bad(path, "mcp.%s does not allow the tool %q", name, own)
	}
	server := c.servers[name]
	if server == nil {
		return nil, nil
	}
	if own == "*" {
		return server.Tools(), nil
	}
	i := slices.Index(server.Names(), own)
	if i < 0 {
		return nil, c.bad(path, "the MCP server %s has no tool %q; it has: %s", name, own, strings.Join(server.Names(), ", "))
	}
	return server.Tools()[i : i+1], nil
}

// withoutMissing takes alternatives out that are tools of a server that did
// not start.
func (c *config) withoutMissing(a agentConfig, tools []tool.Tool) {
	missing := false
	for _, entry := range a.Tools {
		name, _, ok := strings.Cut(entry, "/")
		missing = missing || ok && c.servers != nil && c.servers[name] == nil
	}
	if !missing {
		return
	}
	for i := range tools {
		tools[i].Spec.Alternatives = slices.DeleteFunc(slices.Clone(tools[i].Spec.Alternatives), func(name string) bool {
			return !slices.ContainsFunc(tools, func(t tool.Tool) bool { return t.Spec.Name == name })
		})
	}
}

// explainMCP adds what is in force for the servers.
func (c *config) explainMCP(add func(path, value string)) {
	secret := func(path string, from map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			add(path+"."+name, from[name]+" (set, not shown)")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.MCP)) {
		m, path := c.MCP[name], "mcp."+name
		if m.URL != "" {
			add(path+".url", m.URL)
		} else {
			add(path+".command", strings.Join(append([]string{m.Command}, m.Args...), " "))
			add(path+".env", strings.Join(slices.Sorted(maps.Keys(m.Env)), ", ")+" (and what every program gets)")
			add(path+".log", c.mcpLog(name))
		}
		secret(path+".env_from", m.EnvFrom)
		secret(path+".headers_from", m.HeadersFrom)
		if m.TokenEnv != "" {
			add(path+".token_env", m.TokenEnv+" (set, not shown)")
		}
		add(path+".prefix", m.Prefix)
		add(path+".optional", fmt.Sprint(m.Optional))
		add(path+".trust_annotations", fmt.Sprint(m.TrustAnnotations))
		for _, t := range slices.Sorted(maps.Keys(m.Tools)) {
			if effect := m.Tools[t].Effect; effect != "" {
				add(path+".tools."+t+".effect", effect)
			}
		}
		rest := "unsafe"
		if m.TrustAnnotations {
			rest = "as the server says, else unsafe"
		}
		add(path+".tools.*.effect", rest)
	}
}

// mcpLog is the file that a server's standard error goes to.
func (c *config) mcpLog(name string) string {
	if log := c.MCP[name].Log; log != "" {
		return c.beside(log)
	}
	return c.mcpFile(name, "log")
}

// mcpFile is a file of a server beside the journal, or beside the
// configuration where the journal is no file.
func (c *config) mcpFile(name, ending string) string {
	base := c.Journal
	if inPostgres(base) {
		base = c.beside("daruma")
	}
	return base + ".mcp-" + name + "." + ending
}
