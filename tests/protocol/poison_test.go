package protocol

import (
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// Who waits in the condition of a strict mutex learns that it is lost for ever, also if
// it is lost by an heir's unlock, after which nobody can notify.
func TestWaitersOfAPoisonedMutex(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	waiter, owner, heir := dial(t, d.Socket).greet(), dial(t, d.Socket).greet(), dial(t, d.Socket).greet()
	waiter.attach(wire.MethodCreate, "m", "mutex", m{"strict": true})
	condition := waiter.attach(wire.MethodCreate, "c", "condition", m{"lock": "@m"})
	waiter.must(wire.MethodLock, condition)
	waits := waiter.awaits(witness, "c", list{wire.MethodWaitCondition, condition})

	held := owner.attach(wire.MethodOpen, "m")
	owner.must(wire.MethodLock, held)
	var inherited wire.Attachment
	if err := wire.Decode(heir.must(wire.MethodOpen, "m"), &inherited); err != nil {
		t.Fatal(err)
	}
	locks := heir.awaits(witness, "m", list{wire.MethodLock, inherited.Handle})
	owner.hangUp()
	var now wire.Stat
	harness.Await(t, "there is an heir of the mutex", func() bool {
		now = wire.Stat{}
		if err := witness.Call(t.Context(), wire.MethodStat, &now, "m"); err != nil {
			t.Fatal(err)
		}
		return now.Deaths == 1 && now.Held != nil
	})
	// The death wakes the waiter too, who may be faster, and is the heir then.
	first, firstWaits, lock := heir, locks[0], inherited.Handle
	second, secondWaits := waiter, waits[0]
	if now.Held.Seat != inherited.Seat {
		first, firstWaits, lock, second, secondWaits = waiter, waits[0], condition, heir, locks[0]
	}
	if r := first.response(firstWaits); r.Err != nil {
		t.Fatal(r.Err)
	}
	first.must(wire.MethodUnlock, lock) // without a word about the data
	wantError(t, "the other", nil, second.response(secondWaits).Err, status.NotRecoverable, "")
}
