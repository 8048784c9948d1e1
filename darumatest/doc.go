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
// [Provider] is the suite that every provider of models passes: fake in this
// process, openai and anthropic over HTTP.
package darumatest
