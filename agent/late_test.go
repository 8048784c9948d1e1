package agent_test

import (
	"context"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// lateClaims is a journal whose claims take a second to come back: what they
// say of posts is old by then.
type lateClaims struct{ *darumatest.Memory }

func (j lateClaims) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	claims, err := j.Memory.Claim(ctx, c)
	<-time.After(time.Second)
	return claims, err
}

// Commit is durable only after a while, so that claims see what was before it.
func (j lateClaims) Commit(ctx context.Context, txs []daruma.Tx) []error {
	<-time.After(300 * time.Millisecond)
	return j.Memory.Commit(ctx, txs)
}

// TestLateClaims folds a post in and has an older look at the journal report
// it again: the run must not be read anew for that, for a call is in flight.
func TestLateClaims(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := context.Background()
		m := darumatest.NewMemory()
		var l ledger
		began, gate := make(chan struct{}, 9), make(chan struct{})
		h := open(t, agent.Options{Journal: lateClaims{m}, Models: table(t, script(call("act", `{"word":"x"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{hang(daruma.Unsafe, &l, began, gate)}}}})
		id := h.start(agent.Start{Agent: "helper", Input: "act"})
		<-began
		<-time.After(9 * time.Second) // the claim of the start is over
		for _, key := range []string{"a", "b", "c"} {
			// Each is posted while the claim that the one before it woke is
			// under way, so that two claims report it.
			if _, err := m.Post(ctx, daruma.Post{Run: id, Topic: "other", Key: key, By: "user:ada"}); err != nil {
				t.Fatal(err)
			}
			<-time.After(600 * time.Millisecond)
		}
		<-time.After(9 * time.Second)
		close(gate)
		if r := h.wait(id); r.State != daruma.Completed || len(r.Falls) != 0 {
			t.Errorf("%s, %+v", r.State, r.Falls)
		}
		if n := count(kinds(t, m, id), daruma.KindReceived); n != 3 || len(l.keys) != 1 {
			t.Errorf("%d posts were folded in, want 3; calls %v", n, l.keys)
		}
	})
}
