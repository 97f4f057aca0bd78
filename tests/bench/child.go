package main

import (
	"context"
	"os"

	"github.com/shmd/shmd/tests/measure"
)

// children are what this binary is when it is called with "child NAME".
var children = map[string]func(args []string) error{
	"echo":      echoServer,
	"locker":    locker,
	"acquirer":  acquirer,
	"messenger": messenger,
	"partner":   partner,
	"streamer":  streamer,
	"syncer":    syncer,
	"sleepers":  sleepers,
	"takers":    takers,
}

// startSelf runs this binary as one of children.
func startSelf(ctx context.Context, name string, args ...string) (*measure.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return measure.Start(ctx, self, append([]string{"child", name}, args...)...)
}

// startC runs a program of c/.
func startC(ctx context.Context, name string, args ...string) (*measure.Child, error) {
	path, err := measure.Built("SHMD_BUILD", "build", "tests", "bench", "c", name)
	if err != nil {
		return nil, err
	}
	return measure.Start(ctx, path, args...)
}
