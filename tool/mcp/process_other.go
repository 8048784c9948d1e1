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

func hold(context.Context, string) (*os.File, error) { return nil, nil }
