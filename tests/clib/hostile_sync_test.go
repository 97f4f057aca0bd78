package clib

import (
	"maps"
	"testing"

	"github.com/shmd/shmd/shm"
)

// mutexHandle is the handle of a condition's mutex, at the false daemon.
const mutexHandle = 2

// newFalse has an object that parameters describe, a condition with its mutex.
func newFalse(t *testing.T, parameters shm.Geometry, more members) *falseDaemon {
	t.Helper()
	parameters.SeatsMax = shm.SeatsDefault
	g, err := parameters.Complete()
	if err != nil {
		t.Fatal(err)
	}
	_, file := newSegment(t, g)
	d := listen(t, g.Kind.String())
	d.segment = file
	d.object = members{"id": 5, "name": "hostile", "kind": g.Kind.String(), "flags": []string{}, "lock_id": 0,
		"seats_max": shm.SeatsDefault, "access": "rw", "segment_size": g.SegmentSize, "handle": 1, "created": false,
		"seat": 1, "owner": shm.OwnerWord(1, 1), "data_offset": g.DataOffset, "data_size": g.DataSize,
		"seats_offset": g.SeatsOffset}
	maps.Copy(d.object, more)
	if g.Kind != shm.KindCondition {
		return d
	}
	m, err := shm.NewGeometry(shm.KindMutex, 0, nil, 0, shm.SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	_, d.mutex = newSegment(t, m)
	d.stat = members{"id": 3, "kind": "mutex", "flags": []string{}, "seats_max": shm.SeatsDefault,
		"segment_size": m.SegmentSize}
	maps.Copy(d.object, members{"lock": "foreign", "lock_id": 3, "lock_handle": mutexHandle,
		"lock_owner": shm.OwnerWord(1, 1)})
	return d
}

// A daemon that errs about events, conditions, barriers and rwlocks costs an error.
func TestFalseSync(t *testing.T) {
	type lie struct {
		name, want    string
		changes, stat members // of what open and stat say; nil = none
	}
	condition := []lie{
		{"no lock", "BAD_FRAME", members{"lock": "none"}, nil},
		{"an own lock", "BAD_FRAME", members{"lock": "own"}, nil},
		{"no handle of the mutex", "BAD_FRAME", members{"lock_handle": "none"}, nil},
		{"read-only", "BAD_FRAME", members{"access": "r"}, nil},
		{"no seat in the mutex", "BAD_FRAME", members{"lock_owner": 0}, nil},
		{"a seat behind the last", "BAD_FRAME", members{"lock_owner": shm.OwnerWord(65, 1)}, nil},
		{"an owner with flags", "BAD_FRAME", members{"lock_owner": uint32(1<<31 | 1<<12 | 1)}, nil},
		{"flags", "BAD_FRAME", members{"flags": []string{"recursive"}}, nil},
		{"another size", "VERSION", members{"segment_size": 8192}, nil},
		{"its mutex is another object", "BAD_FRAME", nil, members{"id": 4}},
		{"its mutex is a value", "BAD_FRAME", nil, members{"kind": "value"}},
		{"its mutex is larger", "VERSION", nil, members{"segment_size": 8192}},
		{"its mutex has unknown rules", "BAD_FRAME", nil, members{"flags": []string{"fair"}}},
	}
	for _, c := range []struct {
		name       string
		parameters shm.Geometry
		more       members
		lies       []lie
	}{
		{"event", shm.Geometry{Kind: shm.KindEvent}, nil, []lie{
			{"undo", "BAD_FRAME", members{"flags": []string{"undo"}}, nil},
			{"more seats", "VERSION", members{"seats_max": 4000}, nil},
			{"another size", "VERSION", members{"segment_size": 8192}, nil},
			{"auto reset", "OK", members{"flags": []string{"auto_reset"}}, nil},
			{"a barrier without parties", "BAD_FRAME", members{"kind": "barrier"}, nil},
			{"an rwlock without cells", "VERSION", members{"kind": "rwlock"}, nil},
		}},
		{"condition", shm.Geometry{Kind: shm.KindCondition}, nil, condition},
		{"barrier", shm.Geometry{Kind: shm.KindBarrier, Length: 2}, members{"parties": 2}, []lie{
			{"no parties", "BAD_FRAME", members{"parties": 0}, nil},
			{"too many parties", "BAD_FRAME", members{"parties": 4095}, nil},
			{"parties of another type", "BAD_FRAME", members{"parties": "two"}, nil},
			{"cells behind the end", "VERSION", members{"seats_max": 4000}, nil},
			{"flags", "BAD_FRAME", members{"flags": []string{"auto_reset"}}, nil},
		}},
		{"rwlock", shm.Geometry{Kind: shm.KindRWLock}, nil, []lie{
			{"cells behind the end", "VERSION", members{"segment_size": 4096}, nil},
			{"more seats", "VERSION", members{"seats_max": 4000}, nil},
			{"our seat behind the last", "BAD_FRAME", members{"owner": shm.OwnerWord(65, 1)}, nil},
			{"flags", "BAD_FRAME", members{"flags": []string{"strict"}}, nil},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newFalse(t, c.parameters, c.more)
			for _, l := range append([]lie{{"honest", "OK", nil, nil}}, c.lies...) {
				got := d.serve(func(id any, method string, a *answer) {
					switch method {
					case "open":
						a.bytes = packed(t, []any{1, id, nil, d.with(l.changes)})
					case "stat":
						stat := maps.Clone(d.stat)
						maps.Copy(stat, l.stat)
						a.bytes = packed(t, []any{1, id, nil, stat})
					}
				})
				if got != l.want {
					t.Errorf("%s: %s, want %s", l.name, got, l.want)
				}
			}
			garbledAnswers(t, func() *falseDaemon { return d }, "open", "open", "map", "stat")
			d.probe.MustEnd()
		})
	}
}
