// Command weather is a whole program: an agent whose tool is down, and what
// catches it.
//
//	go run ./examples/weather
//	OPENAI_API_KEY=… go run ./examples/weather gpt-5-mini
//
// Without a model's name a script speaks in its place. The run is in
// weather.db; daruma show and explain read it: daruma runs --journal weather.db.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/fake"
	"github.com/daruma-run/daruma/model/openai"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/sqlite"
	"github.com/daruma-run/daruma/tool"
)

// city is what the tools take; their schema is made of it.
type city struct {
	City string `json:"city" jsonschema:"name of the city"`
}

func onTheGround(context.Context, city) (string, error) {
	return "", tool.Refuse(errors.New("the station does not answer"))
}

func fromAbove(_ context.Context, in city) (string, error) { return "18 degrees in " + in.City, nil }

const script = `
model script
  when turn 1
    call station {"city":"Kyoto"}
  always
    say "It is ${result.station}."
`

// provider returns a real model where one is named, else the script.
func provider(name string) (model.Provider, error) {
	if name != "" {
		return openai.New(openai.Options{Key: os.Getenv("OPENAI_API_KEY")})
	}
	parsed, err := fake.Parse([]byte(script))
	if err != nil {
		return nil, err
	}
	return fake.New(parsed), nil
}

func run(ctx context.Context, name string) error {
	p, err := provider(name)
	if err != nil {
		return err
	}
	models, err := route.NewTable(route.Target{Name: cmp.Or(name, "script"), Provider: p})
	if err != nil {
		return err
	}
	spec := daruma.ToolSpec{Effect: daruma.Read, Capability: "weather"}
	satellite := tool.Func("satellite", "Weather seen from above.", fromAbove, spec)
	spec.Alternatives = []string{"satellite"}
	station := tool.Func("station", "Weather measured on the ground.", onTheGround, spec) // is down

	journal, err := sqlite.Open(ctx, "weather.db", nil)
	if err != nil {
		return err
	}
	defer journal.Close()
	weather := agent.Agent{Name: "weather", Tools: []tool.Tool{station, satellite}}
	result, err := agent.Do(ctx, journal, weather, models, "How is the weather in Kyoto?")
	if err != nil {
		return err
	}
	fmt.Println(result.State, result.Answer())
	for _, fall := range result.Falls {
		by, _ := fall.By()
		fmt.Println(cmp.Or(fall.Tool, fall.Subject), "fell:", fall.Message, "- caught by", by)
	}
	return nil
}

func main() {
	if err := run(context.Background(), append(os.Args, "")[1]); err != nil {
		log.Fatal(err)
	}
}
