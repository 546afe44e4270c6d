package main

import "context"

// vmInitCommand is process 1 of the virtual machine that scripts/density-vm boots: it
// sets the machine up, runs density in it, hands the results over, and turns it off.
type vmInitCommand struct{}

// Run never returns on a machine that it can turn off.
func (vmInitCommand) Run(ctx context.Context, o output) error { return vmInit(ctx, o) }
