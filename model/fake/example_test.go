package fake_test

import (
	"context"
	"fmt"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/fake"
)

// A payment whose answer gets lost is paid once, because the tool knows the
// key again.
func Example() {
	script, err := fake.Parse([]byte(`
model m
  fault 429 retry-after=2s
  when turn 1
    call refund {"order":"A-17"}

tool refund effect=payment dedupe
  fault lost
  return {"refund":"R-1"}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	f, ctx := fake.New(script), context.Background()
	ask := &model.Request{Model: "m", Messages: []daruma.Message{{Role: daruma.RoleUser, Text: "Refund A-17."}}}

	_, err = model.Collect(f.Stream(ctx, ask))
	fmt.Println(daruma.KindOf(err))
	reply, _ := model.Collect(f.Stream(ctx, ask))
	call := reply.Message.Calls[0]

	_, err = f.Call(ctx, call.Name, call.Arguments, "key-1")
	fmt.Println(daruma.KindOf(err))
	result, _ := f.Call(ctx, call.Name, call.Arguments, "key-1")
	fmt.Println(string(result), "paid", len(f.Ledger()), "time")
	// Output:
	// rate_limited
	// doubt
	// {"refund":"R-1"} paid 1 time
}
