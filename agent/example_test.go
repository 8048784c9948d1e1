package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model/fake"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/sqlite"
	"github.com/daruma-run/daruma/tool"
)

type City struct {
	City string `json:"city" jsonschema:"name of the city"`
}

func station(context.Context, City) (string, error) {
	return "", tool.Refuse(errors.New("the station does not answer"))
}

func satellite(_ context.Context, in City) (string, error) { return "18 degrees in " + in.City, nil }

// An agent whose tool is dead is caught by the tool's alternative.
func ExampleDo() {
	ctx, journal, models := exampleWorld(`
		model main
		  when turn 1
		    call station {"city":"Kyoto"}
		  always
		    say "It is ${result.station}."
	`)
	defer journal.Close()

	weather := agent.Agent{Name: "weather", Tools: []tool.Tool{
		tool.Func("station", "Weather of today, measured.", station,
			daruma.ToolSpec{Effect: daruma.Read, Capability: "weather", Alternatives: []string{"satellite"}}),
		tool.Func("satellite", "Weather of today, from above.", satellite,
			daruma.ToolSpec{Effect: daruma.Read, Capability: "weather"}),
	}}
	result, err := agent.Do(ctx, journal, weather, models, "How is the weather in Kyoto?")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.State, result.Answer())
	for _, fall := range result.Falls {
		by, _ := fall.By()
		fmt.Println(fall.Type, "caught by", by)
	}
	// Output:
	// completed It is 18 degrees in Kyoto.
	// tool_failed caught by switch_tool
}

// A call that moves money waits for a yes; the decision may come from anywhere
// that reaches the journal.
func ExampleDecide() {
	ctx, journal, models := exampleWorld(`
		model main
		  when turn 1
		    call refund {"city":"Kyoto"}
		  always
		    say "Done: ${result.refund}."
	`)
	defer journal.Close()
	refund := tool.Func("refund", "Pays money back.", func(context.Context, City) (string, error) { return "paid", nil },
		daruma.ToolSpec{Effect: daruma.Payment})
	cashier := agent.Agent{Name: "cashier", Tools: []tool.Tool{refund}}

	shell, err := agent.New(agent.Options{Journal: journal, Agents: []agent.Agent{cashier}, Models: models})
	if err != nil {
		fmt.Println(err)
		return
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error)
	go func() { ended <- shell.Run(work) }()
	id, err := shell.Start(ctx, agent.Start{Agent: "cashier", Input: "Refund the trip to Kyoto."})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := shell.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.State, result.Approvals[0].Tool, result.Approvals[0].Args)

	if err := agent.Decide(ctx, journal, result.Approvals[0].ID, true, "user:ada", "the trip was cancelled"); err != nil {
		fmt.Println(err)
		return
	}
	result, err = shell.WaitFinished(ctx, id)
	fmt.Println(result.State, result.Answer(), err)
	stop()
	fmt.Println(<-ended)
	// Output:
	// parked refund {"city":"Kyoto"}
	// completed Done: paid. <nil>
	// <nil>
}

// A process that dies leaves its runs to the next.
func ExampleShell_Run() {
	ctx, file, models := exampleWorld(`
		model main
		  always
		    say "Good morning."
	`)
	defer file.Close() // this example has a journal that can be killed in its place
	journal := darumatest.NewMemory()
	options := agent.Options{Journal: journal, Models: models, Agents: []agent.Agent{{Name: "greeter"}}}
	first, err := agent.New(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := first.Start(ctx, agent.Start{Agent: "greeter", Input: "Greet me."}) // durable from here on
	if err != nil {
		fmt.Println(err)
		return
	}

	options.Journal = journal.Crash() // the first process is killed
	second, err := agent.New(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error)
	go func() { ended <- second.Run(work) }()
	result, err := second.Wait(ctx, id)
	stop()
	fmt.Println(result.State, result.Answer(), err, <-ended)
	// Output: completed Good morning. <nil> <nil>
}

// exampleWorld opens a journal in a fresh folder and a table with a scripted
// model, in the place of a real one.
func exampleWorld(script string) (context.Context, *sqlite.DB, *route.Table) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "daruma")
	if err != nil {
		panic(err)
	}
	journal, err := sqlite.Open(ctx, filepath.Join(dir, "runs.db"), nil)
	if err != nil {
		panic(err)
	}
	parsed, err := fake.Parse([]byte(script))
	if err != nil {
		panic(err)
	}
	models, err := route.NewTable(route.Target{Name: "main", Provider: fake.New(parsed), Price: daruma.Price{Free: true}})
	if err != nil {
		panic(err)
	}
	return ctx, journal, models
}
