package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/registry"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

// goWorkflows is go-workflows on its SQLite backend, one connection as the
// library sets it. A run is a workflow, a step an activity. It polls; 5 ms is
// a fortieth of its default, and the locks of dead workers last 10 s instead
// of its one and two minutes. A run stays bound to the worker it had for 1 s
// instead of half a minute, which a dead worker would hold it for.
type goWorkflows struct {
	c      config
	client *client.Client
	worker *worker.Worker
	stop   context.CancelFunc
	close  func() error

	mu   sync.Mutex
	last map[string]chan struct{} // closed when a run's last step has begun
}

func openGoWorkflows(ctx context.Context, c config) (engine, error) {
	db, err := openSQLite(ctx, filepath.Join(c.Dir, "goworkflows.db"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	store := sqlite.NewSqliteBackendWithDB(db, sqlite.WithApplyMigrations(true), sqlite.WithBackendOptions(
		backend.WithLogger(slog.New(slog.DiscardHandler)),
		backend.WithStickyTimeout(time.Second),
		backend.WithWorkflowLockTimeout(10*time.Second),
		backend.WithActivityLockTimeout(10*time.Second)))
	options := worker.DefaultOptions
	options.WorkflowPollingInterval = 5 * time.Millisecond
	options.ActivityPollingInterval = 5 * time.Millisecond
	options.WorkflowHeartbeatInterval = 4 * time.Second
	options.ActivityHeartbeatInterval = 4 * time.Second
	options.WorkflowExecutorCacheSize = 2000

	g := &goWorkflows{c: c, client: client.New(store), worker: worker.New(store, &options), close: db.Close, last: map[string]chan struct{}{}}
	if err := g.worker.RegisterWorkflow(g.workflow, registry.WithName("bench")); err != nil {
		return nil, err
	}
	if err := g.worker.RegisterActivity(g.step, registry.WithName("step")); err != nil {
		return nil, err
	}
	ctx, g.stop = context.WithCancel(ctx)
	return g, g.worker.Start(ctx)
}

func (g *goWorkflows) workflow(ctx workflow.Context, run string) (int, error) {
	for step := range g.c.Steps {
		if _, err := workflow.ExecuteActivity[string](ctx, workflow.DefaultActivityOptions, "step", run, step).Get(ctx); err != nil {
			return 0, err
		}
	}
	return g.c.Steps, nil
}

func (g *goWorkflows) step(_ context.Context, run string, step int) (string, error) {
	text := g.c.Work(run, step)
	if step == g.c.Steps-1 {
		g.mu.Lock()
		if done := g.last[run]; done != nil {
			close(done)
			delete(g.last, run)
		}
		g.mu.Unlock()
	}
	return text, nil
}

func (g *goWorkflows) Start(ctx context.Context, run string) (func() error, error) {
	last := make(chan struct{})
	g.mu.Lock()
	g.last[run] = last
	g.mu.Unlock()
	instance, err := g.client.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: run}, "bench", run)
	if err != nil {
		return nil, err
	}
	// The library waits by polling at growing intervals. So that these cost it
	// nothing, it begins to poll only once the last step has been taken.
	return func() error {
		select {
		case <-last:
		case <-ctx.Done():
			return ctx.Err()
		}
		return g.client.WaitForWorkflowInstance(ctx, instance, time.Minute)
	}, nil
}

func (g *goWorkflows) Await(ctx context.Context, runs []string) error {
	for {
		stats, err := g.client.GetStats(ctx)
		if err != nil || stats.ActiveWorkflowInstances == 0 {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d runs are not finished: %w", stats.ActiveWorkflowInstances, len(runs), err)
		}
	}
}

func (g *goWorkflows) Durability() string { return "SQLite WAL, synchronous=FULL" }

func (g *goWorkflows) Close() error {
	g.stop()
	if err := g.worker.WaitForCompletion(); err != nil {
		return err
	}
	return g.close()
}
