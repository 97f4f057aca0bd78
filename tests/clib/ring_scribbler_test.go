package clib

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/tests/harness"
)

// Somebody scribbles over a stream or a pipe that C clients use; see
// probe/ring_scribbler.c.
func TestRingScribbler(t *testing.T) {
	if os.Getenv("SHMD_SANITIZE") == "thread" {
		t.Skip("messages are plain memory, and whoever scribbles over them races with who reads them")
	}
	probe := program(t, "ring_scribbler", sanitized(t)...)
	for _, sc := range []scenario{
		{name: "stream", kind: shm.KindStream},
		{name: "pipe", kind: shm.KindPipe},
		{name: "pipe of bytes", kind: shm.KindPipe, flags: bytesFlag},
	} {
		t.Run(sc.name, func(t *testing.T) {
			seed := fmt.Sprint(time.Now().UnixNano())
			t.Log("seed ", seed)
			path := filepath.Join(t.TempDir(), "object")
			must(0, os.WriteFile(path, newImages(t, sc).object.Bytes(), 0o600))
			text, err := harness.Command(probe, path, seed).CombinedOutput()
			if err != nil || string(text) != "ok\n" {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}
