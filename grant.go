package daruma

import "math"

// SpendOp is one movement on a budget. The zero SpendOp is [SpendDraw].
type SpendOp uint8

const (
	SpendDraw    SpendOp = iota // take a block out of the budget into a grant
	SpendSettle                 // what calls under the grant really cost
	SpendRelease                // give the rest of the grant back
	SpendRaise                  // let the budget be passed by the amount; Grant is a name of its own, Node who did it
)

// Spend is one durable movement of money. A grant that was drawn and not
// released at a crash counts as spent until it is reconciled.
type Spend struct {
	Budget string // name of the budget
	Limit  Money  // of the budget: a draw that would pass it is refused with KindExhausted
	Grant  string // id of the grant: one block of one node
	Node   string
	Op     SpendOp
	Amount Money // of this movement; never negative
}

// Grant is money that one node has drawn out of a budget, so that calls can
// reserve from it at once, without a commit of their own:
//
//	for !g.Reserve(price) {
//		spend := g.Draw(price)            // commit it; KindExhausted: the budget is used up
//		g.Drew(spend.Amount)              // once it is on disk
//	}
//	cost := call()
//	g.Settle(price, cost)
//	rows := g.Settled()                       // into the next commit, whatever it is about
//
// Nothing here is durable by itself. A process that dies loses its Grant; what
// was drawn and not released then counts as spent, which is never too little:
// no call is made that was not drawn for.
//
// A Grant is used by one goroutine at a time. Set the exported fields before
// the first use and leave them alone. Amounts below zero count as zero, and
// sums that overflow as the largest amount there is.
type Grant struct {
	ID     string // unique in the store; never used again after a release
	Budget string
	Node   string
	Limit  Money // of the budget
	Size   Money // of a block: what is drawn at once. Zero means just what is needed

	drawn    Money // on disk as drawn
	reserved Money // for calls that have not been settled
	spent    Money // settled
	unsaid   Money // of spent: not in any Spend yet
}

// Room returns what can still be reserved. It is negative where calls have
// cost more than was reserved for them.
func (g *Grant) Room() Money { return g.drawn.Plus(-g.reserved).Plus(-g.spent) }

// Reserved returns what is reserved for calls that have not been settled.
func (g *Grant) Reserved() Money { return g.reserved }

// Reserve takes the amount for a call, if there is room for it.
func (g *Grant) Reserve(amount Money) bool {
	amount = max(amount, 0)
	if g.Room() < amount {
		return false
	}
	g.reserved += amount // cannot overflow: it is at most what was drawn
	return true
}

// Need returns how much must be drawn before the amount can be reserved, in
// whole blocks; zero where there is room. Near the end of the budget, as far
// as this grant has drawn from it, the last block is smaller.
func (g *Grant) Need(amount Money) Money {
	short := max(amount, 0).Plus(-g.Room())
	if short <= 0 {
		return 0
	}
	need := short
	if g.Size > 0 {
		if rest := short % g.Size; rest > 0 {
			need = short.Plus(g.Size - rest)
		}
	}
	if left := g.Limit - g.drawn; need > left && left >= short {
		return left
	}
	return need
}

// Draw returns the movement that makes room for the amount. The grant has the
// money only after [Grant.Drew].
func (g *Grant) Draw(amount Money) Spend { return g.spend(SpendDraw, g.Need(amount)) }

// Drew says that a draw is on disk.
func (g *Grant) Drew(amount Money) { g.drawn = g.drawn.Plus(max(amount, 0)) }

// Settle gives back what was reserved for a call and counts what it cost,
// which may be more. Call it once for every Reserve that was granted, with
// zero cost if the call was not made.
func (g *Grant) Settle(reserved, cost Money) {
	g.reserved = max(0, g.reserved-max(reserved, 0))
	cost = max(cost, 0)
	g.spent, g.unsaid = g.spent.Plus(cost), g.unsaid.Plus(cost)
}

// Settled returns the movements of what was settled since the last time it
// was asked, none if that is nothing. Where the commit they go into fails, the
// grant must be given up: it counts as spent in full.
func (g *Grant) Settled() []Spend {
	if g.unsaid == 0 {
		return nil
	}
	s := g.spend(SpendSettle, g.unsaid)
	g.unsaid = 0
	return []Spend{s}
}

// Release returns the movements that end the grant: what was settled and not
// said yet, then what was never spent. What is reserved still counts as spent,
// so settle first. Nothing can be reserved afterwards.
func (g *Grant) Release() []Spend {
	rows := append(g.Settled(), g.spend(SpendRelease, max(g.Room(), 0)))
	g.drawn, g.reserved, g.spent = 0, 0, math.MaxInt64
	return rows
}

func (g *Grant) spend(op SpendOp, amount Money) Spend {
	return Spend{Budget: g.Budget, Limit: g.Limit, Grant: g.ID, Node: g.Node, Op: op, Amount: amount}
}
