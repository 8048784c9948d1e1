//go:build !unix

package mcp

import (
	"context"
	"os"
	"os/exec"
)

func group(*exec.Cmd) {}

func terminate(cmd *exec.Cmd) { cmd.Process.Kill() }
func kill(cmd *exec.Cmd)      { cmd.Process.Kill() }

func hold(string) (*os.File, error) { return nil, nil }

func free(context.Context, string) error { return nil }
