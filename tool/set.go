package tool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/check"
	"github.com/daruma-run/daruma/internal/guard"
)

// Options configure a [Set]. The zero value works.
type Options struct {
	// Approve is the risk from which calls need an approval, where the call
	// does not say. Zero means [daruma.RiskHigh].
	Approve daruma.Risk
	// MaxResult is how large a result may be, in bytes. Zero means 1 MiB.
	MaxResult int
	// Parallel is how many calls of one tool may be under way at once. Zero
	// means 16.
	Parallel int
	// Wait is how long a call waits for a place. Zero means 5 seconds.
	Wait time.Duration
	// Recovery says when a tool counts as failing and when as well again, for
	// those who choose what to call. Zero means the defaults.
	Recovery Recovery
}

// Set is the tools of an agent. Make one with [NewSet]; its tools are fixed
// from then on. It is safe for concurrent use. Close it to wait for calls.
type Set struct {
	options Options
	order   []*member
	byName  map[string]*member

	mu      sync.Mutex
	closed  bool
	running map[string]int // functions that have not returned, by tool
	idle    chan struct{}  // closed when the last function returns after Close
}

// member is a tool with what guards it.
type member struct {
	Tool
	schema  *check.Schema
	breaker *guard.Breaker
	health  *guard.Health
	places  *guard.Bulkhead
	behind  int // functions left behind; guarded by Set.mu

	seed  maphash.Seed
	valid [512]atomic.Pointer[[]byte] // arguments that were found valid last
}

// defaultTimeout is the deadline of tools that declare none.
const defaultTimeout = 30 * time.Second

// NewSet returns a set of tools with default [Options]. The error is of
// [daruma.KindInvalid], or [daruma.KindExists] for a name given twice, and
// names the tool.
func NewSet(tools ...Tool) (*Set, error) { return NewSetWith(Options{}, tools...) }

// NewSetWith is [NewSet] with options.
func NewSetWith(options Options, tools ...Tool) (*Set, error) {
	options.Approve = cmp.Or(options.Approve, daruma.RiskHigh)
	options.MaxResult = cmp.Or(max(options.MaxResult, 0), 1<<20)
	options.Parallel = cmp.Or(max(options.Parallel, 0), 16)
	options.Wait = cmp.Or(max(options.Wait, 0), 5*time.Second)
	s := &Set{options: options, byName: map[string]*member{}, running: map[string]int{}}
	for _, t := range tools {
		if _, twice := s.byName[t.Spec.Name]; twice {
			return nil, daruma.Fail("tool.NewSet", daruma.KindExists, "tool %q is given twice", t.Spec.Name)
		}
		m, err := newMember(options, t)
		if err != nil {
			return nil, err
		}
		s.order = append(s.order, m)
		s.byName[t.Spec.Name] = m
	}
	for _, m := range s.order {
		for _, name := range m.Spec.Alternatives {
			if s.byName[name] == nil || name == m.Spec.Name {
				return nil, invalid("tool %q has the alternative %q; accepted: names of other tools of the set", m.Spec.Name, name)
			}
		}
		if err := s.checkCompensation(m); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func invalid(format string, args ...any) error {
	return daruma.Fail("tool.NewSet", daruma.KindInvalid, format, args...)
}

func newMember(options Options, t Tool) (*member, error) {
	spec := &t.Spec
	if !goodName(spec.Name) {
		return nil, invalid("tool name %q: accepted are 1 to 64 letters, digits, '_' and '-'", spec.Name)
	}
	if len(bytes.TrimSpace(t.Schema)) == 0 {
		t.Schema = json.RawMessage(`{"type":"object"}`)
	}
	schema, err := check.Compile(t.Schema)
	if err != nil {
		return nil, invalid("tool %q: %w", spec.Name, err)
	}
	var top struct {
		Type any `json:"type"`
	}
	_ = json.Unmarshal(t.Schema, &top) // a schema that is a boolean leaves top empty
	if top.Type != "object" {
		return nil, invalid(`tool %q has a schema of type %v; accepted: "object"`, spec.Name, top.Type)
	}
	switch {
	case t.Do == nil:
		return nil, invalid("tool %q has no function Do", spec.Name)
	case spec.Verify && t.Verify == nil:
		return nil, invalid("tool %q declares verify, but has no function Verify", spec.Name)
	case spec.OnDoubt == daruma.DoubtVerify && t.Verify == nil:
		return nil, invalid("tool %q has on_doubt verify, but no function Verify", spec.Name)
	case spec.Effect > daruma.Payment:
		return nil, invalid("tool %q has the unknown effect %v", spec.Name, spec.Effect)
	case spec.Risk > daruma.RiskCritical:
		return nil, invalid("tool %q has the unknown risk %v", spec.Name, spec.Risk)
	case spec.OnDoubt > daruma.DoubtAbort:
		return nil, invalid("tool %q has the unknown on_doubt %v", spec.Name, spec.OnDoubt)
	case spec.Repeat > daruma.RepeatAllow:
		return nil, invalid("tool %q has the unknown repeat %v", spec.Name, spec.Repeat)
	case spec.Effect == daruma.Read && spec.Repeat != daruma.RepeatAuto && spec.Repeat != daruma.RepeatAllow:
		return nil, invalid("tool %q reads and has repeat %v; accepted: allow, for reads are always made again", spec.Name, spec.Repeat)
	case spec.Timeout < 0:
		return nil, invalid("tool %q has the timeout %v; accepted: more than 0, or 0 for %v", spec.Name, spec.Timeout, defaultTimeout)
	}
	spec.Verify = t.Verify != nil
	spec.Alternatives = slices.Clone(spec.Alternatives)
	return &member{Tool: t, schema: schema, seed: maphash.MakeSeed(),
		breaker: guard.NewBreaker(guard.BreakerOptions{}),
		health:  guard.NewHealth(options.Recovery),
		places:  guard.NewBulkhead(guard.BulkheadOptions{Limit: options.Parallel, Wait: options.Wait}),
	}, nil
}

// goodName accepts what every provider accepts.
func goodName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return 0 < len(name) && len(name) <= 64
}

// Specs returns what a run freezes of the tools, in the order they were given.
func (s *Set) Specs() []daruma.ToolSpec {
	specs := make([]daruma.ToolSpec, 0, len(s.order))
	for _, m := range s.order {
		spec := m.Spec
		spec.Alternatives = slices.Clone(spec.Alternatives)
		specs = append(specs, spec)
	}
	return specs
}

// Offer returns what a model is told of the tools, in the order they were
// given, without those withheld.
func (s *Set) Offer(withheld []string) []Definition {
	all := make([]Definition, 0, len(s.order))
	for _, m := range s.order {
		if !slices.Contains(withheld, m.Spec.Name) {
			all = append(all, Definition{m.Spec.Name, m.Description, m.Schema})
		}
	}
	return all
}

// Check returns what is wrong with the arguments of a call, none where nothing
// is. Empty arguments mean an empty object. Of a tool that does not exist it
// says nothing.
func (s *Set) Check(tool string, args []byte) []check.Problem {
	m := s.byName[tool]
	if m == nil {
		return nil
	}
	return m.check(orEmpty(args))
}

// Repair returns invalid arguments of a call mended in shape so that they are
// valid, "" where nothing is wrong or that cannot be done: see
// [check.Schema.Repair].
func (s *Set) Repair(tool string, args []byte) string {
	m := s.byName[tool]
	if m == nil {
		return ""
	}
	mended, _ := m.schema.Repair(orEmpty(args))
	return string(mended)
}

// check is Validate, with a memory: the arguments of a call are checked when
// the model proposes it and again when it is made.
func (m *member) check(args []byte) []check.Problem {
	place := &m.valid[maphash.Bytes(m.seed, args)%uint64(len(m.valid))]
	if known := place.Load(); known != nil && bytes.Equal(*known, args) {
		return nil
	}
	problems := m.schema.Validate(args)
	if len(problems) == 0 && len(args) <= maxRemembered {
		known := bytes.Clone(args)
		place.Store(&known)
	}
	return problems
}

// maxRemembered bounds the arguments that are remembered as valid, in bytes.
const maxRemembered = 1 << 10

// orEmpty reads empty arguments as an empty object: models leave them out for
// tools that take none.
func orEmpty(args []byte) []byte {
	if len(bytes.TrimSpace(args)) == 0 {
		return []byte("{}")
	}
	return args
}
