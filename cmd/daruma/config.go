package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool/mcp"
)

// config is daruma.yaml. Every field has a default, so an empty file works;
// every key that is not one of these is refused.
type config struct {
	Journal  string                  `yaml:"journal"`  // path of the SQLite file, or postgres://…; default daruma.db beside the file
	Models   map[string]modelConfig  `yaml:"models"`   // by name
	Tools    map[string]toolConfig   `yaml:"tools"`    // by name
	MCP      map[string]mcpConfig    `yaml:"mcp"`      // servers of tools, by name
	Agents   map[string]agentConfig  `yaml:"agents"`   // by name
	Budgets  map[string]budgetConfig `yaml:"budgets"`  // by name
	Limits   limitsConfig            `yaml:"limits"`   // for every agent
	Profiles map[string]limitsConfig `yaml:"profiles"` // named limits; "coding" is built in
	Ladder   ladderConfig            `yaml:"ladder"`   // for every agent, by signal
	Grace    string                  `yaml:"grace"`    // how long a stop waits for calls in flight; default 30s
	Degrade  degradeConfig           `yaml:"degrade"`  // how runs begin while something does not work

	file    string                 // where it was read from; empty: nowhere
	root    *ast.File              // for positions
	servers map[string]*mcp.Server // that were started, by name; nil: none yet
	origins map[string]string      // path of a value → where it came from, when not from the file
}

// modelConfig is one target: a model at a provider.
type modelConfig struct {
	Dialect   string         `yaml:"dialect"`    // wire format of the API: openai (chat completions, the default) or anthropic (messages)
	URL       string         `yaml:"url"`        // base URL of the API, such as https://api.example/v1; default for anthropic: Anthropic's own
	Model     string         `yaml:"model"`      // the provider's name of the model; default: the name here
	Key       string         `yaml:"key_env"`    // environment variable that holds the API key; empty: no key is sent
	Script    string         `yaml:"script"`     // instead of url: a fake provider's script, for trying things out
	MaxOutput int64          `yaml:"max_output"` // tokens of one answer
	Window    int64          `yaml:"window"`     // tokens it reads and writes at once; default: not known
	Extra     map[string]any `yaml:"extra"`      // more fields of every request, such as thinking
	Price     *priceConfig   `yaml:"price"`
	Budget    string         `yaml:"budget"` // from which its calls are paid, besides that of the agent
}

// priceConfig is in US dollars per million tokens.
type priceConfig struct {
	Input  float64 `yaml:"input"`
	Cached float64 `yaml:"cached"`
	Output float64 `yaml:"output"`
	Free   bool    `yaml:"free"`
}

// toolConfig is a tool behind an HTTP endpoint: arguments are posted as JSON.
type toolConfig struct {
	URL          string         `yaml:"url"`
	VerifyURL    string         `yaml:"verify_url"` // asked whether a call happened
	Description  string         `yaml:"description"`
	Schema       map[string]any `yaml:"schema"` // JSON Schema of the arguments; default: any object
	Effect       string         `yaml:"effect"`
	Risk         string         `yaml:"risk"`
	OnDoubt      string         `yaml:"on_doubt"`
	Capability   string         `yaml:"capability"`
	Alternatives []string       `yaml:"alternatives"`
	ReplaceWrite bool           `yaml:"replace_write"`
	Repeat       string         `yaml:"repeat"`
	Approve      bool           `yaml:"approve"`
	Timeout      string         `yaml:"timeout"`

	Compensate *compensateConfig `yaml:"compensate"`
	Agent      string            `yaml:"agent"` // instead of url: the agent of which each call is a sub-run
}

type agentConfig struct {
	Instructions string       `yaml:"instructions"`
	Models       []string     `yaml:"models"` // names, best first
	Tools        []string     `yaml:"tools"`  // names, and SERVER/TOOL or SERVER/* of mcp
	Profile      string       `yaml:"profile"`
	Budget       string       `yaml:"budget"` // from which its model calls are paid
	Limits       limitsConfig `yaml:"limits"`
	Ladder       ladderConfig `yaml:"ladder"`
	Lessons      int          `yaml:"lessons"` // how many lessons of earlier runs a run is given; default none
	Compact      string       `yaml:"compact"` // what is left out of a conversation that is too long: results (default) or off
}

// limitsConfig holds pointers so that an explicit 0 can be told from nothing.
type limitsConfig struct {
	Steps                *int     `yaml:"steps"`
	Time                 *string  `yaml:"time"`
	Tokens               *int64   `yaml:"tokens"`
	Money                *float64 `yaml:"money"` // US dollars
	Soft                 *float64 `yaml:"soft"`
	Reflections          *int     `yaml:"reflections"`
	ReflectionsPerSignal *int     `yaml:"reflections_per_signal"`
	Parallel             *int     `yaml:"parallel"`
	Depth                *int     `yaml:"depth"`
	Claims               *int     `yaml:"claims"`
	Approve              *string  `yaml:"approve"`
	ApprovalTime         *string  `yaml:"approval_time"`
	ModelTime            *string  `yaml:"model_time"`
}

type ladderConfig map[string][]rungConfig

type rungConfig struct {
	Remedy string   `yaml:"remedy"`
	Max    int      `yaml:"max"`
	First  string   `yaml:"first"`
	Factor float64  `yaml:"factor"`
	Cap    string   `yaml:"cap"`
	Causes []string `yaml:"causes"`

	Compensate bool `yaml:"compensate"` // of abort
}

// configFile is the name that is looked for when none is given.
const configFile = "daruma.yaml"

// readConfig reads the file, or daruma.yaml where path is empty and that
// exists, then the environment. Unknown keys and values that are none are
// errors of KindInvalid with file and line.
func readConfig(path string) (*config, error) {
	c := &config{origins: map[string]string{}}
	if path == "" {
		path = os.Getenv("DARUMA_CONFIG")
	}
	explicit := path != ""
	if !explicit {
		path = configFile
	}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		c.file = path
		if err := c.parse(data); err != nil {
			return nil, err
		}
	case explicit || !os.IsNotExist(err):
		return nil, daruma.Fail("config", daruma.KindInvalid, "config file %q cannot be read: %w", path, err)
	}
	c.environment()
	if c.Journal == "" {
		c.Journal = "daruma.db"
		if c.file != "" {
			c.Journal = filepath.Join(filepath.Dir(c.file), c.Journal)
		}
		c.origins["journal"] = "default"
	}
	return c, nil
}

// environment lets DARUMA_JOURNAL and DARUMA_GRACE override the file.
func (c *config) environment() {
	for name, field := range map[string]*string{"journal": &c.Journal, "grace": &c.Grace} {
		variable := "DARUMA_" + strings.ToUpper(name)
		if v := os.Getenv(variable); v != "" {
			*field, c.origins[name] = v, variable
		}
	}
}

func (c *config) parse(data []byte) error {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return c.syntax(err)
	}
	c.root = file
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if err := c.shape(doc.Body, reflect.TypeFor[config](), ""); err != nil {
			return err
		}
	}
	var read config
	if err := yaml.UnmarshalWithOptions(data, &read, yaml.Strict()); err != nil {
		return c.syntax(err)
	}
	read.file, read.root, read.origins = c.file, c.root, c.origins
	*c = read
	return nil
}

// line returns where the value at a path such as "agents.refund.limits.steps"
// stands in the file, as "file:line", or the best that can be said.
func (c *config) line(path string) string {
	if c.file == "" {
		return "configuration"
	}
	for p := path; p != ""; {
		if at, ok := c.stands(p); ok {
			return at
		}
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return c.file
}

// stands returns the place of a path that is in the file.
func (c *config) stands(path string) (string, bool) {
	if c.root == nil {
		return "", false
	}
	query, err := yaml.PathString("$." + path)
	if err != nil {
		return "", false
	}
	node, err := query.FilterFile(c.root)
	if err != nil || node == nil {
		return "", false
	}
	line := node.GetToken().Position.Line
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		line = m.Values[0].Key.GetToken().Position.Line
	}
	return fmt.Sprintf("%s:%d", c.file, line), true
}

// bad is the error for a value that cannot be: where it stands, what it is,
// what is accepted.
func (c *config) bad(path, format string, args ...any) error {
	return daruma.Fail("config", daruma.KindInvalid, "%s: %s: %s", c.line(path), path, fmt.Sprintf(format, args...))
}
