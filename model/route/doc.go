// Package route calls models by the names of targets: it asks the target's
// breaker, streams and collects the answer, and says what it cost.
//
//	table, err := route.NewTable(
//		route.Target{Name: "primary", Provider: client, Model: "large", Price: price},
//		route.Target{Name: "backup", Provider: local, Model: "small", Price: daruma.Price{Free: true}},
//	)
//	answer, err := table.Call(ctx, "primary", &model.Request{Messages: messages})
//
// # Breakers
//
// Every target has a breaker. While it is open, calls are refused with
// [daruma.KindUnavailable] and a [*model.Error] that says when to come back;
// nothing is sent. What the target cannot help does not count as its failure:
// the caller's own mistakes, a request larger than the context, refusals, and
// calls that the caller broke off. "Later" and "no more money" do not count
// either, they are no sign that the target is down.
//
// # What it does not do
//
// It does not choose: which target is next, and whether to wait or to retry,
// is the ladder's decision.
package route
