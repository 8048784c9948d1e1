package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log"
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

func onTheGround(context.Context, City) (string, error) {
	return "", tool.Refuse(errors.New("the station does not answer"))
}

func fromAbove(_ context.Context, in City) (string, error) { return "18 degrees in " + in.City, nil }

// An agent whose tool is down is caught by the tool's alternative.
func Example() {
	spec := daruma.ToolSpec{Effect: daruma.Read, Capability: "weather"}
	satellite := tool.Func("satellite", "Weather seen from above.", fromAbove, spec)
	spec.Alternatives = []string{"satellite"}
	station := tool.Func("station", "Weather measured on the ground.", onTheGround, spec) // is down
	journal, err := sqlite.Open(context.Background(), tempFile(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	weather := agent.Agent{Name: "weather", Tools: []tool.Tool{station, satellite}}
	result, err := agent.Do(context.Background(), journal, weather, models(kyoto), "How is the weather in Kyoto?")
	fmt.Println(result.State, result.Answer(), err)
	// Output: completed It is 18 degrees in Kyoto. <nil>
}

const kyoto = `
	model main
	  when turn 1
	    call station {"city":"Kyoto"}
	  always
	    say "It is ${result.station}."
`

// What a run fell over, and what caught it, is in its result.
func ExampleDo() {
	ctx, journal, models := exampleWorld(kyoto)
	defer journal.Close()
	result, err := agent.Do(ctx, journal, agent.Agent{Name: "weather"}, models, "How is the weather in Kyoto?")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, fall := range result.Falls {
		by, _ := fall.By()
		fmt.Println(fall.Type, "caught by", by)
	}
	// Output: tool_unknown caught by reflect
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
	journal, err := sqlite.Open(ctx, tempFile(), nil)
	if err != nil {
		panic(err)
	}
	return ctx, journal, models(script)
}

func tempFile() string {
	dir, err := os.MkdirTemp("", "daruma")
	if err != nil {
		panic(err)
	}
	return filepath.Join(dir, "runs.db")
}

func models(script string) *route.Table {
	parsed, err := fake.Parse([]byte(script))
	if err != nil {
		panic(err)
	}
	table, err := route.NewTable(route.Target{Name: "main", Provider: fake.New(parsed), Price: daruma.Price{Free: true}})
	if err != nil {
		panic(err)
	}
	return table
}
