//go:build !shmd_crash

package main

import (
	"fmt"
	"os"
)

// crashAfter needs the hook in the accessor.
func crashAfter(int) {
	fmt.Fprintln(os.Stderr, "this player was not built with the tag shmd_crash")
	os.Exit(2)
}

func crashNever() {}
