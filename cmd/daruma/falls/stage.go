package falls

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/fake"
)

// Stage is one scenario, served: the scripted models and tools of
// [fake.Fake.Handler], and under GET /scenario what a runner has to know of it.
// It is safe for concurrent use. The zero Stage is not usable; Serve makes one.
type Stage struct {
	*scenario
	fake *fake.Fake
	url  string

	server *http.Server
	served chan struct{}

	read  int // entries of the ledger that news has returned
	once  sync.Once
	crash chan struct{} // closed while the tool of the crash is called for the first time
}

// Serve returns the stage of a scenario. Errors are of KindNotFound for an
// unknown name.
func Serve(name string) (*Stage, error) {
	s, err := load(name)
	if err != nil {
		return nil, err
	}
	return &Stage{scenario: s, fake: fake.New(s.script), crash: make(chan struct{})}, nil
}

// Fake returns the models, tools and ledger of the stage.
func (s *Stage) Fake() *fake.Fake { return s.fake }

// Handler serves the stage.
func (s *Stage) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.fake.Handler())
	mux.HandleFunc("GET /scenario", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.brief()) // a caller that has left needs nothing
	})
	if s.Crash == "" {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/tools/"+s.Crash {
			s.once.Do(func() { time.AfterFunc(100*time.Millisecond, func() { close(s.crash) }) })
		}
		mux.ServeHTTP(w, r)
	})
}

// Serve serves the stage until ctx ends; requests in flight are cut then. It
// closes the listener, and returns nil when ctx ended it. Loopback alone is safe.
func (s *Stage) Serve(ctx context.Context, l net.Listener) error {
	server := s.httpServer()
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return daruma.Fail("falls.Serve", daruma.KindUnavailable, "%w", err)
	}
	return nil
}

func (s *Stage) httpServer() *http.Server {
	return &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
}

// listen serves the stage on loopback until close.
func (s *Stage) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + l.Addr().String()
	s.server = s.httpServer()
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l) // ends with close
	}()
	return nil
}

// news returns the entries of the ledger since the last call. One goroutine
// uses it.
func (s *Stage) news() []fake.Entry {
	all := s.fake.Ledger()
	fresh := all[s.read:]
	s.read = len(all)
	return fresh
}

func (s *Stage) close() {
	_ = s.server.Close()
	<-s.served
}

// Brief is what a runner has to know of a scenario, as GET /scenario tells it.
type Brief struct {
	Name      string     `json:"name"`
	Digest    string     `json:"digest"`
	Models    []string   `json:"models"` // best first
	Steps     int        `json:"steps"`  // model calls and tool calls together
	Tokens    int64      `json:"tokens"`
	ModelTime float64    `json:"model_time"` // seconds
	Deadline  float64    `json:"deadline"`   // seconds, of the whole scenario
	Crash     bool       `json:"crash"`      // needs a process that dies
	Acts      []BriefAct `json:"acts"`
}

// BriefAct is one run of a scenario.
type BriefAct struct {
	Input  string  `json:"input"`
	Refuse bool    `json:"refuse"` // the approver says no to everything
	Allow  []Allow `json:"allow"`  // else he says yes to these, each so often, and no to anything else
}

// Allow is a call that the approver says yes to.
type Allow struct {
	Tool  string          `json:"tool"`
	Times int             `json:"times"`
	Args  json.RawMessage `json:"args,omitempty"` // none: any
}

func (s *scenario) brief() Brief {
	limits := s.Limits.Filled()
	b := Brief{Name: s.Name, Digest: s.Digest, Models: s.script.Models(), Steps: limits.Steps, Tokens: limits.Tokens,
		ModelTime: time.Duration(limits.ModelTime).Seconds(), Deadline: s.Deadline.Seconds(), Crash: s.Crash != ""}
	for _, a := range s.Acts {
		ba := BriefAct{Input: a.Input, Refuse: a.Refuse, Allow: []Allow{}}
		for _, e := range a.Effects {
			ba.Allow = append(ba.Allow, Allow{Tool: e.tool, Times: e.most, Args: json.RawMessage(e.args)})
		}
		b.Acts = append(b.Acts, ba)
	}
	return b
}

// approver is a human who knows what was asked for: he allows exactly that, as
// often as it was asked for. One goroutine uses it.
type approver struct {
	act   *act
	given map[string]int
}

func newApprover(a *act) *approver { return &approver{a, map[string]int{}} }

// decide says yes or no to a call, and why not.
func (p *approver) decide(tool, args string) (yes bool, reason string) {
	if p.act.Refuse {
		return false, "not today"
	}
	args, err := canonical([]byte(args))
	i := slices.IndexFunc(p.act.Effects, func(e effect) bool {
		return err == nil && e.tool == tool && e.most > 0 && (e.args == "" || e.args == args)
	})
	switch {
	case i < 0:
		return false, "nobody asked for this"
	case p.given[tool] >= p.act.Effects[i].most:
		return false, fmt.Sprintf("approved %d times already", p.given[tool])
	}
	p.given[tool]++
	return true, ""
}

// tool returns what the script declares of a tool.
func (s *Stage) tool(name string) (fake.Tool, bool) {
	tools := s.script.Tools()
	i := slices.IndexFunc(tools, func(t fake.Tool) bool { return t.Spec.Name == name })
	if i < 0 {
		return fake.Tool{}, false
	}
	return tools[i], true
}
