package falls

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/anthropic"
	"github.com/daruma-run/daruma/model/openai"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/sqlite"
	"github.com/daruma-run/daruma/tool"
)

// underDaruma runs a scenario through package agent, over a journal on disk
// and HTTP on loopback.
type underDaruma struct {
	ladder  daruma.Ladder
	dialect string
}

// tenth returns the ladder with its first waits at a tenth, so that the bench
// is quick. Rungs, counts and caps stay.
func tenth(l daruma.Ladder) daruma.Ladder {
	quick := func(rungs []daruma.Rung) []daruma.Rung {
		out := append([]daruma.Rung(nil), rungs...)
		for i := range out {
			if out[i].Remedy == daruma.Retry {
				if out[i].First == 0 {
					out[i].First = daruma.Duration(100 * time.Millisecond)
				}
				out[i].First /= 10
			}
		}
		return out
	}
	out := daruma.Ladder{Rungs: map[daruma.SignalType][]daruma.Rung{}, Default: quick(l.Default)}
	for t, rungs := range l.Rungs {
		out.Rungs[t] = quick(rungs)
	}
	return out
}

// process is one life of a shell.
type process struct {
	db    *sqlite.DB
	shell *agent.Shell
	stop  context.CancelFunc
	ended chan error
}

func (u underDaruma) start(ctx context.Context, s *Stage, path string) (*process, error) {
	db, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	options := agent.Options{Journal: db, Grace: -1}
	options.Agents, options.Models, err = u.setup(s)
	if err == nil {
		p := &process{db: db, ended: make(chan error, 1)}
		if p.shell, err = agent.New(options); err == nil {
			ctx, p.stop = context.WithCancel(ctx)
			go func() { p.ended <- p.shell.Run(ctx) }()
			return p, nil
		}
	}
	_ = db.Close()
	return nil, err
}

// end stops the shell and waits for it.
func (p *process) end() {
	p.stop()
	<-p.ended
	_ = p.db.Close()
}

func (u underDaruma) setup(s *Stage) ([]agent.Agent, *route.Table, error) {
	client, err := u.provider(s.url + "/v1")
	if err != nil {
		return nil, nil, err
	}
	var targets []route.Target
	for _, name := range s.script.Models() {
		targets = append(targets, route.Target{Name: name, Provider: client})
	}
	table, err := route.NewTable(targets...)
	if err != nil {
		return nil, nil, err
	}
	a := agent.Agent{Name: "bench", Limits: s.Limits, Ladder: u.ladder}
	for _, t := range s.script.Tools() {
		spec := t.Spec
		built := tool.HTTP(spec, t.Description, t.Schema, s.url+"/tools/"+spec.Name, nil)
		if spec.Verify {
			built = tool.VerifyHTTP(built, s.url+"/tools/"+spec.Name+"/calls/{key}", nil)
		}
		a.Tools = append(a.Tools, built)
	}
	return []agent.Agent{a}, table, nil
}

func (u underDaruma) provider(url string) (model.Provider, error) {
	if u.dialect == "anthropic" {
		return anthropic.New(anthropic.Options{Name: "fake", BaseURL: url})
	}
	return openai.New(openai.Options{Name: "fake", BaseURL: url})
}

func (u underDaruma) play(ctx context.Context, s *Stage) ([]Ending, error) {
	dir, err := os.MkdirTemp("", "daruma-falls-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, err := u.start(ctx, s, filepath.Join(dir, "first.db"))
	if err != nil {
		return nil, err
	}
	defer func() { p.end() }()
	var endings []Ending
	for i := range s.Acts {
		id, err := p.shell.Start(ctx, agent.Start{Agent: "bench", Input: s.Acts[i].Input})
		if err != nil {
			return endings, err
		}
		if s.Crash != "" && i == 0 {
			next, err := u.crash(ctx, s, p, dir)
			if err != nil {
				return endings, err
			}
			p = next
		}
		e, err := p.follow(ctx, id, newApprover(&s.Acts[i]))
		if err != nil {
			return endings, err
		}
		e.Ledger = s.news()
		endings = append(endings, e)
	}
	return endings, nil
}

// crash waits for the call in which the process dies, takes the journal as it
// lies on disk in that moment, and starts another process with it. The first
// one is gone; what it still hears reaches nobody.
func (u underDaruma) crash(ctx context.Context, s *Stage, p *process, dir string) (*process, error) {
	info, err := p.db.Runs(ctx, daruma.Query{})
	if err != nil {
		return p, err
	}
	go func() { // somebody must say yes before the call is made
		_, _ = p.follow(ctx, info[0].ID, newApprover(&s.Acts[0]))
	}()
	select {
	case <-s.crash:
	case <-ctx.Done():
		return p, ctx.Err()
	}
	path := filepath.Join(dir, "second.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(p.db.Path() + suffix)
		if err != nil {
			return p, err
		}
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			return p, err
		}
	}
	p.end()
	next, err := u.start(ctx, s, path)
	if err != nil {
		return p, err
	}
	return next, nil
}

// follow answers approvals until the run ends or asks something else.
func (p *process) follow(ctx context.Context, id daruma.RunID, human *approver) (Ending, error) {
	decided := map[string]bool{}
	for {
		r, err := p.shell.Wait(ctx, id)
		if err != nil {
			return Ending{}, err
		}
		if r.Parked == nil || r.Parked.Reason != daruma.ParkApproval {
			return endingOf(r), nil
		}
		for _, a := range r.Approvals {
			if decided[a.ID] {
				continue
			}
			decided[a.ID] = true
			yes, reason := human.decide(a.Tool, a.Args)
			if err := agent.Decide(ctx, p.db, a.ID, yes, "user:approver", reason); err != nil {
				return Ending{}, err
			}
		}
		select {
		case <-time.After(5 * time.Millisecond): // until the decision is folded in
		case <-ctx.Done():
			return Ending{}, ctx.Err()
		}
	}
}

// endingOf is what a caller of the run is handed.
func endingOf(r agent.Result) Ending {
	switch f := r.Finished; {
	case r.Parked != nil:
		return Ending{State: parked, Said: r.Parked.Text + "\nOptions: " + strings.Join(r.Parked.Options, ", ") + "\n" + r.Parked.Limit}
	case f == nil:
		return Ending{State: failed, Said: r.Note}
	case f.State == daruma.Completed || f.State == daruma.Degraded:
		said := f.Answer
		for _, m := range f.Missing {
			said += "\nMissing: " + m
		}
		return Ending{State: answered, Said: said}
	default:
		return Ending{State: failed, Said: f.Answer + "\n" + f.Text}
	}
}
