//go:build !race

package shmd_test

import (
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// An allocation costs more than the whole lock: a closure in the wrong place did.
func TestLockDoesNotAllocate(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	m, err := shmd.CreateMutex(t.Context(), c, "", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, lock := range []struct {
		name string
		take func() (*shmd.Notice, error)
	}{
		{"Lock", func() (*shmd.Notice, error) { return m.Lock(t.Context()) }},
		{"TryLock", m.TryLock},
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := lock.take(); err != nil {
				t.Error(err)
			}
			if err := m.Unlock(); err != nil {
				t.Error(err)
			}
		})
		if n != 0 {
			t.Errorf("%s and Unlock allocate %v times", lock.name, n)
		}
	}
}
