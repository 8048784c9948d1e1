// Command bench measures durable engines side by side: Daruma through its
// agent shell, DBOS Transact Go and go-workflows, and beneath them one fsynced
// row in SQLite.
//
//	go run . -rounds 3
//	go run . -rounds 1 -engines daruma,bare -measures latency -json out.json
//
// Every measurement runs in a process of its own: the command starts itself
// again as a child. Within a round the engines take turns at each measure, and
// their order rotates from round to round, so that what else the machine does
// falls on all of them. README.md says what is counted and how to repeat it.
package main
