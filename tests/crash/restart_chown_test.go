package crash

import (
	"reflect"
	"syscall"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// TestKilledInChown kills the daemon inside of a chown, before its record counts and after:
// the next one knows the one owner or the other, and charges him, for all of it.
func TestKilledInChown(t *testing.T) {
	needRoot(t, "giving an object to another user")
	const other = nobody - 1
	for _, point := range []string{"append", "appended"} {
		t.Run(point, func(t *testing.T) {
			flags := []string{"--socket-mode=0666"}
			s := newSceneWith(t, harness.DaemonOptions{Program: harness.Program(t, "shmd-crash"), Flags: flags,
				Env: []string{"SHMD_FAIL=@" + point + ":1"}})
			var q wire.Attachment
			s.call(wire.MethodCreate, &q, "long", wire.KindQueue, wire.CreateOptions{MaxSize: new(uint32(4)),
				SlotSize: new(uint32(64)), MessageMax: new(uint32(1 << 20)), Content: new(wire.ContentRaw)})
			s.call(wire.MethodPut, nil, q.Handle, make([]byte, 100<<10)) // in a side segment, which goes along
			s.call(wire.MethodChown, nil, "long", nobody, -1)
			before, err := s.Accounts(t.Context(), s.ctl)
			if err != nil {
				t.Fatal(err)
			}
			s.Signal(syscall.SIGUSR1) // from when on it does not survive a record
			owners := [2]uint32{nobody, other}
			for {
				call, err := s.ctl.Start(wire.MethodChown, "long", owners[1], -1)
				if err != nil {
					t.Fatal(err)
				}
				if err = call.Wait(t.Context(), nil); status.Of(err) == status.OutcomeUnknown {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				owners[0], owners[1] = owners[1], owners[0]
			}
			want := owners[0]
			if point == "appended" {
				want = owners[1]
			}
			had := before[nobody]
			if had["objects"] != 2 {
				t.Fatalf("before, user %d is charged %v", nobody, had)
			}
			delete(before, nobody)
			before[want] = had
			s = s.restarted(harness.DaemonOptions{Flags: flags})
			if st := s.stat("long"); st.UID != want {
				t.Errorf("the owner is %d, want %d", st.UID, want)
			}
			after, err := s.Accounts(t.Context(), s.ctl)
			if err != nil {
				t.Fatal(err)
			}
			for _, uid := range owners {
				if !reflect.DeepEqual(after[uid], before[uid]) {
					t.Errorf("user %d is charged %v, want %v", uid, after[uid], before[uid])
				}
			}
		})
	}
}
