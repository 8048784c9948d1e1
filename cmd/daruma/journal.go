package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
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

// journalPath returns the path of the journal, whose folder must exist.
func (c *config) journalPath() (string, error) {
	if inPostgres(c.Journal) {
		return c.Journal, nil
	}
	dir := filepath.Dir(c.Journal)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", daruma.Fail("journal", daruma.KindInvalid, "%s, from %s: there is no folder %s; accepted: the path of a file in a folder that exists", c.Journal, c.origin("journal"), dir)
	}
	return c.Journal, nil
}

// existing is journalPath of a journal that must be there.
func (c *config) existing() (string, error) {
	path, err := c.journalPath()
	if err != nil || inPostgres(path) {
		return path, err
	}
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		return "", hinted{daruma.Fail("journal", daruma.KindNotFound, "%s, from %s: nothing has been written there yet", path, c.origin("journal")),
			"daruma run AGENT starts a run and the journal with it; --journal FILE names another; daruma demo shows one"}
	}
	return path, nil
}

// connect opens the journal for a command that posts: through the owner where
// one lives, by itself where none does. It says whether one lives.
func (p *program) connect(ctx context.Context) (j access, live bool, err error) {
	c, err := p.configuration()
	if err != nil {
		return nil, false, err
	}
	path, err := c.existing()
	if err != nil {
		return nil, false, err
	}
	return connectJournal(ctx, path)
}

// look opens the journal for a command that only reads; it leaves nothing
// behind.
func (p *program) look(ctx context.Context) (reader, error) {
	c, err := p.configuration()
	if err != nil {
		return nil, err
	}
	path, err := c.existing()
	if err != nil {
		return nil, err
	}
	return readJournal(ctx, path)
}

// find returns the run of this name, or the only one whose name ends with it:
// approvals are printed with the end of their run.
func find(ctx context.Context, j daruma.Reader, name string) (daruma.RunID, error) {
	const least, most = 6, 10_000
	info, err := j.Run(ctx, daruma.RunID(name))
	if err == nil || daruma.KindOf(err) != daruma.KindNotFound || len(name) < least {
		return info.ID, err
	}
	infos, e := j.Runs(ctx, daruma.Query{Limit: most})
	if e != nil {
		return "", e
	}
	var found []string
	for _, info := range infos {
		if strings.HasSuffix(string(info.ID), name) {
			found = append(found, string(info.ID))
		}
	}
	switch len(found) {
	case 0:
		return "", err
	case 1:
		return daruma.RunID(found[0]), nil
	}
	return "", daruma.Fail("journal", daruma.KindInvalid, "%d runs end with %q; accepted: one of %s", len(found), name, strings.Join(found[:min(len(found), 10)], ", "))
}

// idle reports that nobody works on the journal, as far as can be seen.
func (p *program) idle(ctx context.Context) bool {
	c, err := p.configuration()
	if err != nil {
		return false
	}
	owner, err := ownerOf(ctx, c.Journal)
	if err == nil {
		_ = owner.Close() // it was only looked for
	}
	return daruma.KindOf(err) == daruma.KindUnavailable
}

// poster shows which posts a run has not folded in.
type poster interface {
	Posts(ctx context.Context, run daruma.RunID) ([]daruma.Post, error)
}

// answers returns who has answered each parked run that does not know it yet,
// in words.
func answers(ctx context.Context, j poster, run daruma.RunID) (map[daruma.RunID]string, error) {
	posts, err := j.Posts(ctx, run)
	if err != nil {
		return nil, err
	}
	by := map[daruma.RunID]string{}
	for _, post := range posts {
		if by[post.Run] != "" {
			by[post.Run] += ", "
		}
		by[post.Run] += receivedText(post)
	}
	return by, nil
}

// shell makes the shell of a configuration on a journal.
func (c *config) shell(j daruma.Journal, observe func(daruma.RunID, []daruma.Event)) (*agent.Shell, error) {
	sys, err := c.build()
	if err != nil {
		return nil, err
	}
	return agent.New(agent.Options{Journal: j, Agents: sys.agents, Models: sys.models, Grace: sys.grace, Degrade: sys.degrade, Observe: observe,
		Budgets: sys.budgets, ModelBudgets: sys.modelBudgets})
}

// writeJSON prints a value as indented JSON.
func (p *program) writeJSON(v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
