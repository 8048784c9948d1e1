package daruma

// SpendOp is one movement on a budget. The zero SpendOp is [SpendDraw].
type SpendOp uint8

const (
	SpendDraw    SpendOp = iota // take a block out of the budget into a grant
	SpendSettle                 // what calls under the grant really cost
	SpendRelease                // give the rest of the grant back
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
