package darumatest_test

import (
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/darumatest"
)

func TestFault(t *testing.T) {
	start := func(id daruma.RunID) []daruma.Tx {
		return []daruma.Tx{{Run: id, Type: daruma.AgentRun, Node: "a", Events: []daruma.Event{{Kind: daruma.KindStarted, Time: time.Unix(1, 0)}}}}
	}
	for name, test := range map[string]struct {
		fault *darumatest.Fault
		fails [4]bool
		there [4]bool
	}{
		"none":           {&darumatest.Fault{}, [4]bool{}, [4]bool{true, true, true, true}},
		"before":         {&darumatest.Fault{At: 2}, [4]bool{1: true}, [4]bool{true, false, true, true}},
		"after":          {&darumatest.Fault{At: 2, After: true}, [4]bool{1: true}, [4]bool{true, true, true, true}},
		"for good":       {&darumatest.Fault{At: 2, Stay: true}, [4]bool{1: true, 2: true, 3: true}, [4]bool{true, false, false, false}},
		"after and then": {&darumatest.Fault{At: 3, After: true, Stay: true}, [4]bool{2: true, 3: true}, [4]bool{true, true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.fault
			f.Journal = darumatest.NewMemory()
			f.Kind = daruma.KindUnavailable
			for i, id := range []daruma.RunID{"r0", "r1", "r2", "r3"} {
				err := f.Commit(t.Context(), start(id))[0]
				if (err != nil) != test.fails[i] || err != nil && daruma.KindOf(err) != daruma.KindUnavailable {
					t.Errorf("write %d: %v", i+1, err)
				}
				if _, err := f.Run(t.Context(), id); (err == nil) != test.there[i] {
					t.Errorf("%s: %v, want there %v", id, err, test.there[i])
				}
			}
			if f.Writes() != 4 {
				t.Errorf("%d writes, want 4", f.Writes())
			}
		})
	}
}
