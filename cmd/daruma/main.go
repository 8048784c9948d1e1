package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{out: os.Stdout, errors: os.Stderr, in: os.Stdin}
	code := p.main(ctx, stop, os.Args[1:])
	stop()
	os.Exit(code)
}
