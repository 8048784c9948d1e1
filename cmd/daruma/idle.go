package main

import (
	"runtime/debug"
	"sync"
	"time"
)

// quiet is how long nothing must have been collected before memory is given
// back.
const quiet = time.Second

// giveBack returns memory to the system once work has come to rest: what a
// burst of runs needed is not kept while they wait for people. The function it
// returns ends it.
func giveBack() (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(quiet)
		defer tick.Stop()
		var now debug.GCStats
		last, settled := int64(0), int64(-1) // collections: at the last look, after giving back
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			debug.ReadGCStats(&now)
			if now.NumGC == last && now.NumGC != settled {
				debug.FreeOSMemory()
				debug.ReadGCStats(&now)
				settled = now.NumGC
			}
			last = now.NumGC
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
