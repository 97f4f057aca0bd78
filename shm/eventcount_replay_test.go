//go:build shmd_replay

package shm

import "testing"

// In one store, so that nobody announces himself in between.
func TestEventcountAlarmIsOneStore(t *testing.T) {
	q := newQueue(t, 1, 8, 0)
	q.notEmpty.announce()
	if stores := recordStores(q.seg, q.notEmpty.alarm); len(stores) != 1 {
		t.Errorf("%d stores", len(stores))
	}
}
