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

// Somebody writes random words all over an event, a condition and its mutex, a barrier
// or an rwlock that C clients use; see probe/sync_scribbler.c.
func TestSyncScribbler(t *testing.T) {
	probe := program(t, "sync_scribbler", sanitized(t)...)
	for _, sc := range []scenario{
		{name: "event", kind: shm.KindEvent},
		{name: "event with auto reset", kind: shm.KindEvent, flags: auto},
		{name: "condition", kind: shm.KindCondition, flags: foreign},
		{name: "barrier", kind: shm.KindBarrier},
		{name: "rwlock", kind: shm.KindRWLock},
	} {
		t.Run(sc.name, func(t *testing.T) {
			seed := fmt.Sprint(time.Now().UnixNano())
			t.Log("seed ", seed)
			im := newImages(t, sc)
			paths := []string{filepath.Join(t.TempDir(), "object"), "-"}
			if im.mutex != nil {
				paths[1] = filepath.Join(t.TempDir(), "mutex")
			}
			for i := range paths {
				if im.segment(i) != nil {
					must(0, os.WriteFile(paths[i], im.segment(i).Bytes(), 0o600))
				}
			}
			text, err := harness.Command(probe, append(paths, seed)...).CombinedOutput()
			if err != nil || string(text) != "ok\n" {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}
