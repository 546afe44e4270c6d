//go:build !linux

package main

import (
	"context"
	"errors"
)

func vmInit(context.Context, output) error {
	return errors.New("vm-init is process 1 of a Linux machine")
}
