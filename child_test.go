package daruma_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestChildLimits: a sub-run has what its agent has, and never more than its
// share; a limit on money of either holds.
func TestChildLimits(t *testing.T) {
	share := daruma.Limits{Steps: 4, Tokens: 500, Time: daruma.Duration(time.Minute), Depth: 2}
	paid := share
	paid.Money = daruma.Dollar
	for name, c := range map[string]struct {
		own, share daruma.Limits
		want       daruma.Limits // the fields that a share bounds
	}{
		"the share is less":     {daruma.Limits{}, share, share},
		"the agent has less":    {daruma.Limits{Steps: 2, Tokens: 50, Time: 5, Depth: 1}, share, daruma.Limits{Steps: 2, Tokens: 50, Time: 5, Depth: 1}},
		"no depth in the share": {daruma.Limits{}, daruma.Limits{Steps: 4, Tokens: 500, Time: 5}, daruma.Limits{Steps: 4, Tokens: 500, Time: 5, Depth: 3}},
		"money of the agent":    {daruma.Limits{Money: 7}, share, daruma.Limits{Steps: 4, Tokens: 500, Time: share.Time, Depth: 2, Money: 7}},
		"money of the share":    {daruma.Limits{}, paid, paid},
		"money of both, less":   {daruma.Limits{Money: 7}, paid, daruma.Limits{Steps: 4, Tokens: 500, Time: share.Time, Depth: 2, Money: 7}},
		"money of both, more":   {daruma.Limits{Money: 2 * daruma.Dollar}, paid, paid},
	} {
		want := c.want.Over(daruma.Limits{}.Filled())
		if got := daruma.ChildLimits(c.own, c.share); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestChildInput(t *testing.T) {
	for args, want := range map[string]string{
		`{"input":"find it"}`: "find it", `{"input":"find it","where":"here"}`: `{"input":"find it","where":"here"}`,
		`{"input":" "}`: `{"input":" "}`, `{"input":7}`: `{"input":7}`, `{"what":"find it"}`: `{"what":"find it"}`, `find it`: "find it", `{}`: `{}`,
	} {
		if got := daruma.ChildInput(args); got != want {
			t.Errorf("%s asks %q, want %q", args, got, want)
		}
	}
}

// TestLost: the parent of a run that will never end by itself is told so, with
// what stands of it; nobody is told of a run that ended, or that has no parent.
func TestLost(t *testing.T) {
	s := played(t, "start depth=1 tools=mail:keyed\nreply call mail {}\nok 0 sent")
	posts := s.run.Lost("its record is damaged")
	if len(posts) != 1 || posts[0].Run != "run_parent" || posts[0].Topic != daruma.TopicChild || posts[0].Key != "key of the parent" || posts[0].By != daruma.ActorRun(s.id) {
		t.Fatalf("told: %+v", posts)
	}
	end := decode[daruma.ChildResult](t, daruma.Event{Payload: posts[0].Payload})
	if end.State != daruma.Quarantined || end.Text != "its record is damaged" || !slices.Equal(end.Standing, []string{"mail (1/3)"}) {
		t.Errorf("told: %+v", end)
	}
	for story, want := range map[string]int{"start": 0, "start depth=1\nreply say done": 0, "start depth=1": 1} {
		if got := played(t, story).run.Lost("why"); len(got) != want {
			t.Errorf("%s: told %v", story, got)
		}
	}
}

// TestLongID: the sub-run of a run with the longest id has one that is an id,
// and its own.
func TestLongID(t *testing.T) {
	seen := map[daruma.RunID]bool{}
	for _, id := range []string{strings.Repeat("a", 124), strings.Repeat("a", 125), strings.Repeat("b", 128)} {
		s := &script{shell: newShell(t, daruma.RunID(id)), t: t, keys: map[string]string{}}
		s.do("start tools=research:keyed:agent=researcher")
		s.do(`reply call research {"input":"a"} ; call research {"input":"b"}`)
		for i := range 2 {
			c, ok := find(s.commands, daruma.OpStartRun, i)
			if !ok || c.Child.Check() != nil || seen[c.Child] || strings.HasPrefix(string(c.Child), id) != (len(id) == 124) {
				t.Errorf("sub-run %d of %s is %s", i, id, c.Child)
			}
			seen[c.Child] = true
		}
	}
}
