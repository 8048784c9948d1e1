package daruma

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Overdrawn is the cause in the Failure of a draw that a budget has no money
// for. Its kind is KindExhausted; without an Overdrawn that kind means
// something else, such as a full disk.
type Overdrawn struct {
	Budget string
	Spent  Money // what counts: settled, or held by open grants; less what the budget was raised by
	Limit  Money
	Amount Money // what was to be drawn
}

// Error says what there was and what was asked for.
func (o *Overdrawn) Error() string {
	return fmt.Sprintf("budget %q: %s of %s are spent, %s more would pass it", o.Budget, o.Spent, o.Limit, o.Amount)
}

// Left returns what could still be drawn, never below zero.
func (o *Overdrawn) Left() Money { return max(0, o.Limit-o.Spent) }

// Ledger shows what budgets have spent. Journals have it beside [Reader], and
// so do those who only read.
type Ledger interface {
	// Budgets returns every budget that anything was ever drawn from or raised,
	// by tenant and name. Errors are those of a [Reader]: KindCorrupt where a
	// row does not match its checksum.
	Budgets(ctx context.Context) ([]BudgetInfo, error)
}

// BudgetInfo is what a journal knows of one budget of one tenant. Its limit is
// not among it: that is said with every draw.
type BudgetInfo struct {
	Tenant Tenant      `json:"tenant,omitempty"`
	Name   string      `json:"name"`
	Spent  Money       `json:"spent"`           // settled
	Held   Money       `json:"held"`            // drawn by open grants and not settled
	Raised Money       `json:"raised,omitzero"` // by how much its limit may be passed
	Grants []GrantInfo `json:"grants,omitempty"`
}

// Add accounts for a row of a journal that reads its budgets: an open grant, or
// a closed one of less than nothing, which is a raise. Spent must begin as what
// the budget counts, raises deducted.
func (b *BudgetInfo) Add(g GrantInfo, closed bool) {
	if closed {
		b.Raised, b.Spent = b.Raised-g.Settled, b.Spent-g.Settled
		return
	}
	held := max(0, g.Drawn-g.Settled)
	b.Held, b.Spent, b.Grants = b.Held+held, b.Spent-held, append(b.Grants, g)
}

// GrantInfo is an open grant.
type GrantInfo struct {
	ID      string `json:"id"`
	Node    string `json:"node"`
	Drawn   Money  `json:"drawn"`
	Settled Money  `json:"settled"`
}

// Raises reports whether the Tx raises budgets and does nothing else. Such a Tx
// may come from a process that does not own the journal.
func (tx *Tx) Raises() bool {
	more := len(tx.Keys) + len(tx.Approvals) + len(tx.Closed) + len(tx.Blobs) + len(tx.Posts)
	return tx.Run == "" && more == 0 && len(tx.Spends) > 0 &&
		!slices.ContainsFunc(tx.Spends, func(s Spend) bool { return s.Op != SpendRaise })
}

// BudgetMet says that a model call was not made because what it may cost could
// not be reserved, or that a shared budget is close to its end.
type BudgetMet struct {
	Command CommandID `json:"command"`
	Target  string    `json:"target"`
	Budget  string    `json:"budget,omitempty"` // empty: Limits.Money of the run itself
	Soft    bool      `json:"soft,omitempty"`   // close to the end; the call itself could be paid
	Need    Money     `json:"need,omitzero"`    // what the call may cost at most
	Spent   Money     `json:"spent"`            // of Limit, held by open grants included
	Limit   Money     `json:"limit"`
	Until   time.Time `json:"until,omitzero"` // when the budget begins anew; zero: never
}

// BudgetRaised tells a run that a budget has more money now.
type BudgetRaised struct {
	Budget string `json:"budget"`
}

// applyBudgetMet remembers what there is no money for; [Run.Next] decides what
// comes of it.
func (r *Run) applyBudgetMet(p BudgetMet) error {
	s := &r.s
	if s.Reply != nil || s.Park != nil || s.Model.Failure != nil || !s.Model.Until.IsZero() || p.Command != r.command(s.Model.N) {
		return r.unasked(p.Command)
	}
	if p.Soft && (s.Soft[budgetPath(p.Budget)] || s.Start.Limits.Soft >= 1) {
		return nil // told before, or not to be told
	}
	s.Met = &p
	return nil
}

// budgetPath is the path of signals about a shared budget.
func budgetPath(budget string) string { return "budget:" + budget }

// budgetMet tells the agent to wrap up, or parks the run.
func (r *Run) budgetMet(met BudgetMet) []Event {
	used := fmt.Sprintf("%s of %s", met.Spent, met.Limit)
	sig := Signal{Type: ResourceExhausted, Subject: SubjectRun, Detector: "budget/1", Cause: CauseResource, Path: ParkMoney}
	what := "limit reached: " + used
	if met.Budget != "" {
		sig.Path, what = budgetPath(met.Budget), fmt.Sprintf("budget %s: %s", met.Budget, used)
	}
	if met.Soft {
		sig.Severity, sig.Recoverable, sig.Message = Warning, true, "close to a limit: "+what
		move := Move{Remedy: WrapUp, Signal: sig.Type, Subject: sig.Subject, Try: 1}
		r.complete(&move, sig)
		return []Event{NewEvent(KindSignal, ActorCore, sig), NewEvent(KindMove, ActorCore, move)}
	}
	sig.Severity, sig.Kind = Critical, KindExhausted
	sig.Message = excerpt(fmt.Sprintf("%s, and the next call of %s may cost %s", what, met.Target, met.Need), MaxSignalText)
	park := Parked{Reason: ParkMoney, Text: sig.Message, Subject: SubjectRun, Signal: sig.Type, Limit: used,
		Budget: met.Budget, Until: met.Until, Options: []string{AnswerSkip, AnswerAbort}}
	if met.Budget != "" {
		park.Options = []string{AnswerRetry, AnswerSkip, AnswerAbort}
	}
	return []Event{
		NewEvent(KindSignal, ActorCore, sig),
		NewEvent(KindMove, ActorCore, Move{Remedy: Park, Signal: sig.Type, Subject: sig.Subject, Try: 1, Why: sig.Message}),
		r.park(park, 2),
	}
}

// budgetRaised lets a run go on that is parked at the budget.
func (r *Run) budgetRaised(p BudgetRaised) (refused string) {
	s := &r.s
	if p.Budget == "" || s.Park == nil || s.Park.Budget != p.Budget {
		return fmt.Sprintf("the run is not parked at budget %q", excerpt(p.Budget, 100))
	}
	r.leaveBudget()
	return ""
}

// leaveBudget ends the park at a budget that has money again.
func (r *Run) leaveBudget() {
	s := &r.s
	soft := maps.Clone(s.Soft)
	delete(soft, budgetPath(s.Park.Budget))
	if len(soft) == 0 {
		soft = nil
	}
	r.caught(s.Park.Subject)
	s.Soft, s.Park = soft, nil
}
