package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"
)

// transact is DBOS Transact Go on SQLite. A run is a workflow, a step a step
// of it; the intent of a step with an effect is a step of its own.
type transact struct {
	c     config
	ctx   dbos.Context
	close func() error
}

func openDBOS(ctx context.Context, c config) (engine, error) {
	path := filepath.Join(c.Dir, "dbos.db")
	conf := dbos.Config{AppName: "bench", Logger: slog.New(slog.DiscardHandler)}
	t := &transact{c: c, close: func() error { return nil }}
	if c.Relaxed {
		conf.DatabaseURL = "sqlite:" + path
	} else {
		db, err := openSQLite(ctx, path)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(8) // as DBOS sets for the pool it opens itself
		db.SetMaxIdleConns(4)
		conf.SQLiteSystemDB, t.close = db, db.Close
	}
	var err error
	if t.ctx, err = dbos.NewContext(ctx, conf); err != nil {
		return nil, err
	}
	dbos.RegisterWorkflow(t.ctx, t.workflow, dbos.WithWorkflowName("bench"))
	return t, dbos.Launch(t.ctx)
}

func (t *transact) workflow(ctx dbos.Context, run string) (int, error) {
	for step := range t.c.Steps {
		if t.c.Intents && isEffect(step) {
			key := fmt.Sprintf("%s/%d", run, step)
			if _, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return key, nil }, dbos.WithStepName("intent")); err != nil {
				return 0, err
			}
		}
		body := func(context.Context) (string, error) { return t.c.Work(run, step), nil }
		if _, err := dbos.RunAsStep(ctx, body, dbos.WithStepName("step")); err != nil {
			return 0, err
		}
	}
	return t.c.Steps, nil
}

func (t *transact) Start(_ context.Context, run string) (func() error, error) {
	handle, err := dbos.RunWorkflow(t.ctx, t.workflow, run, dbos.WithWorkflowID(run))
	if err != nil {
		return nil, err
	}
	return func() error {
		_, err := handle.GetResult()
		return err
	}, nil
}

func (t *transact) Await(ctx context.Context, runs []string) error {
	for {
		done, err := dbos.ListWorkflows(t.ctx, dbos.WithFilterStatus(dbos.WorkflowStatusSuccess),
			dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
		if err != nil || len(done) >= len(runs) {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d runs are finished: %w", len(done), len(runs), err)
		}
	}
}

func (t *transact) Durability() string {
	if t.c.Relaxed {
		return "SQLite WAL, synchronous=NORMAL (DBOS's default: the last commits may be lost in a power cut)"
	}
	return "SQLite WAL, synchronous=FULL"
}

func (t *transact) Close() error {
	if err := dbos.Shutdown(t.ctx, 5*time.Second); err != nil {
		return err
	}
	return t.close()
}
