package main

import (
	"context"
	"encoding/json"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/sqlite"
)

// configuration reads the file and lets flags override it.
func (p *program) configuration() (*config, error) {
	c, err := readConfig(p.Config)
	if err != nil {
		return nil, err
	}
	if p.Journal != "" {
		c.Journal, c.origins["journal"] = p.Journal, "--journal"
	}
	return c, nil
}

// connect opens the journal for a command that reads or posts: through the
// owner where one lives, by itself where none does.
func (p *program) connect(ctx context.Context) (sqlite.Access, error) {
	c, err := p.configuration()
	if err != nil {
		return nil, err
	}
	return sqlite.Connect(ctx, c.Journal, nil)
}

// shell makes the shell of a configuration on a journal.
func (c *config) shell(j daruma.Journal, observe func(daruma.RunID, []daruma.Event)) (*agent.Shell, error) {
	sys, err := c.build()
	if err != nil {
		return nil, err
	}
	return agent.New(agent.Options{Journal: j, Agents: sys.agents, Models: sys.models, Grace: sys.grace, Observe: observe})
}

// writeJSON prints a value as indented JSON.
func (p *program) writeJSON(v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
