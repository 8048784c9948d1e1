package main

import (
	"context"
	"errors"
)

func openDaruma(context.Context, config) (engine, error) {
	return nil, errors.New("not there yet")
}
