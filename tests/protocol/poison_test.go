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
	inherited := heir.attach(wire.MethodOpen, "m")
	locks := heir.awaits(witness, "m", list{wire.MethodLock, inherited})
	owner.hangUp()
	if r := heir.response(locks[0]); r.Err != nil {
		t.Fatal(r.Err)
	}
	heir.must(wire.MethodUnlock, inherited) // without a word about the data
	wantError(t, "wait_condition", nil, waiter.response(waits[0]).Err, status.NotRecoverable, "")
}
