package daruma_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/daruma-run/daruma"
)

func TestGrant(t *testing.T) {
	g := daruma.Grant{ID: "g1", Budget: "team", Node: "a", Limit: 100, Size: 30}
	if g.Reserve(1) || !g.Reserve(0) {
		t.Error("an empty grant gives money, or refuses nothing")
	}
	if got := g.Draw(10); got != (daruma.Spend{Budget: "team", Limit: 100, Grant: "g1", Node: "a", Op: daruma.SpendDraw, Amount: 30}) {
		t.Errorf("draws %+v", got)
	}
	if g.Reserve(10) {
		t.Error("money is there before it is on disk")
	}
	g.Drew(30)
	if !g.Reserve(10) || !g.Reserve(20) || g.Reserve(1) {
		t.Errorf("of a block of 30 there is %d left", g.Room())
	}
	g.Settle(10, 4)
	g.Settle(20, 0)
	if g.Room() != 26 || g.Need(26) != 0 || g.Need(27) != 30 || g.Need(90) != 70 {
		t.Errorf("room %d, needs %d, %d, %d", g.Room(), g.Need(26), g.Need(27), g.Need(90))
	}
	if got := g.Need(97); got != 90 { // more than the budget: the journal must say no, not we
		t.Errorf("needs %d", got)
	}
	if got := g.Settled(); len(got) != 1 || got[0].Op != daruma.SpendSettle || got[0].Amount != 4 || g.Settled() != nil {
		t.Errorf("settled %+v", got)
	}
	g.Reserve(6)
	g.Settle(6, 5)
	want := []daruma.Spend{
		{Budget: "team", Limit: 100, Grant: "g1", Node: "a", Op: daruma.SpendSettle, Amount: 5},
		{Budget: "team", Limit: 100, Grant: "g1", Node: "a", Op: daruma.SpendRelease, Amount: 21},
	}
	if got := g.Release(); !reflect.DeepEqual(got, want) {
		t.Errorf("releases %+v", got)
	}
	if g.Reserve(1) {
		t.Error("a released grant gives money")
	}
}

// TestGrantOverrun: a call costs more than was reserved for it.
func TestGrantOverrun(t *testing.T) {
	g := daruma.Grant{Limit: 100}
	g.Drew(g.Draw(10).Amount)
	g.Reserve(10)
	g.Settle(10, 15)
	if g.Room() != -5 || g.Reserve(0) || g.Need(1) != 6 {
		t.Errorf("room %d, needs %d", g.Room(), g.Need(1))
	}
	if rows := g.Release(); rows[0].Amount != 15 || rows[1].Amount != 0 {
		t.Errorf("releases %+v", rows)
	}
}

func TestGrantExtremes(t *testing.T) {
	const most = daruma.Money(math.MaxInt64)
	g := daruma.Grant{Limit: most, Size: most - 1}
	g.Settle(most, -5)
	g.Drew(-7)
	if g.Room() != 0 || g.Reserve(-1) != true || g.Room() != 0 {
		t.Errorf("amounts below zero leave room %d", g.Room())
	}
	if need := g.Need(most); need != most {
		t.Errorf("needs %d", need)
	}
	g.Drew(most)
	g.Drew(most)
	if !g.Reserve(most) || g.Reserve(1) {
		t.Errorf("room %d", g.Room())
	}
	g.Settle(most, most)
	g.Settle(0, most)
	if g.Room() > 0 || g.Reserve(1) {
		t.Errorf("after the largest costs there is room %d", g.Room())
	}
	if need := g.Need(most); need != most {
		t.Errorf("needs %d", need)
	}
}

// TestGrantLedger plays random calls of random cost on several grants of one
// budget and checks the sums a journal would keep: what is reserved and spent
// was drawn, the budget is never passed by draws, nothing is lost.
func TestGrantLedger(t *testing.T) {
	for seed := range uint64(300) {
		dice := rand.New(rand.NewPCG(seed, 2))
		const limit = 1000
		var drawn, spent, said, released daruma.Money
		book := func(rows []daruma.Spend) {
			for _, s := range rows {
				switch {
				case s.Amount < 0:
					t.Fatalf("%+v is negative", s)
				case s.Op == daruma.SpendSettle:
					said += s.Amount
				case s.Op == daruma.SpendRelease:
					released += s.Amount
				}
			}
		}
		for range 3 {
			g := daruma.Grant{Limit: limit, Size: daruma.Money(dice.IntN(200))}
			var out []daruma.Money
			for range 40 {
				amount := daruma.Money(dice.IntN(60))
				if need := g.Need(amount); need > 0 && drawn+need <= limit {
					drawn += need
					g.Drew(need)
					if !g.Reserve(amount) {
						t.Fatalf("drew %d and still no room for %d", need, amount)
					}
					out = append(out, amount)
				} else if g.Reserve(amount) != (need == 0) {
					t.Fatalf("needs %d, room %d, amount %d", need, g.Room(), amount)
				} else if need == 0 {
					out = append(out, amount)
				}
				for len(out) > 0 && dice.IntN(3) > 0 {
					cost := daruma.Money(dice.IntN(int(out[0]) + 1))
					g.Settle(out[0], cost)
					spent += cost
					out = out[1:]
				}
				if dice.IntN(5) == 0 {
					book(g.Settled())
				}
				if g.Room() < 0 {
					t.Fatalf("room %d although nothing cost too much", g.Room())
				}
			}
			for _, amount := range out {
				g.Settle(amount, 0)
			}
			book(g.Release())
		}
		if said != spent || drawn-released != spent || drawn > limit+released {
			t.Fatalf("seed %d: drawn %d, spent %d, said %d, released %d", seed, drawn, spent, said, released)
		}
	}
}
