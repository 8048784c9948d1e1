// Package darumatest holds what tests of Daruma and of its users share. Only
// tests import it.
//
// [Memory] is a journal in memory, with a [Memory.Crash] that stands for a
// kill:
//
//	journal := darumatest.NewMemory()
//	shell, err := agent.New(agent.Options{Journal: journal, Agents: agents, Models: models})
//	// … start a run, then:
//	journal = journal.Crash() // the shell finds its journal down
//
// [Plan] is the simulator: a random history of runs, with faults of everything
// round them, played in one goroutine over a journal that forgets what was not
// synced ([NewCachedMemory]), and judged by an oracle:
//
//	played := darumatest.DrawPlan(4711).Play(os.Stdout)
//	if played.Failure != nil {
//		fmt.Println(darumatest.DrawPlan(4711).Shrink()) // keep it under testdata/sim
//	}
//
// go test ./darumatest -run TestSimulate -sim.seeds 2000 plays many, with
// -sim.seed 4711 -v one, and prints its trace.
//
// [Provider] is the suite that every provider of models passes: fake in this
// process, openai and anthropic over HTTP.
package darumatest
