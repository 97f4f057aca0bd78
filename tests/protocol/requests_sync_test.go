package protocol

import (
	"math"
	"slices"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// Handles of the session that the tables use, in the order of opening.
const (
	sLock = 1 + iota
	sEvent
	sAuto
	sEventRead
	sConditionLock // opened along with
	sCondition
	sBarrier // of two parties, of which none has arrived
	sBarrierRead
	sRWLock // token 1 reads, twice
	sRWLockRead
	sWritten // an rwlock that token 2 writes
	sGone    // a barrier
	sValue
	sQueue
)

// gather opens what the tables use.
func gather(t *testing.T, socket string) *peer {
	p := dial(t, socket).greet()
	for want, params := range []list{
		sLock:        {wire.MethodCreate, "t/lock", "mutex", m{}},
		sEvent:       {wire.MethodCreate, "t/event", "event", m{}},
		sAuto:        {wire.MethodCreate, "t/auto", "event", m{"auto_reset": true}},
		sEventRead:   {wire.MethodOpen, "t/event", m{"access": "r"}},
		sCondition:   {wire.MethodCreate, "t/condition", "condition", m{"lock": "@t/lock"}},
		sBarrier:     {wire.MethodCreate, "t/barrier", "barrier", m{"parties": 2}},
		sBarrierRead: {wire.MethodOpen, "t/barrier", m{"access": "r"}},
		sRWLock:      {wire.MethodCreate, "t/rwlock", "rwlock", m{}},
		sRWLockRead:  {wire.MethodOpen, "t/rwlock", m{"access": "r"}},
		sWritten:     {wire.MethodCreate, "t/written", "rwlock", m{}},
		sGone:        {wire.MethodCreate, "t/gone", "barrier", m{"parties": 1}},
		sValue:       {wire.MethodCreate, "t/value", "value", m{"code": "i"}},
		sQueue:       {wire.MethodCreate, "t/queue", "queue", m{}},
	} {
		if params == nil {
			continue
		}
		if got := p.attach(params[0].(string), params[1:]...); got != uint64(want) {
			t.Fatalf("%v has handle %d, want %d", params, got, want)
		}
	}
	p.must(wire.MethodDestroy, "t/gone")
	p.must(wire.MethodReadLock, sRWLock, -1, 1)
	p.must(wire.MethodReadLock, sRWLock, -1, 1)
	p.must(wire.MethodLock, sWritten, -1, 2)
	return p
}

var badSyncCalls = []badRequest{
	{"signal", list{sLock}, status.KindMismatch, `"t/lock"|it is a mutex, no event`},
	{"signal", list{sBarrier}, status.KindMismatch, "it is a barrier of 2 parties, no event"},
	{"signal", list{sGone}, status.Removed, `"t/gone"`},
	{"signal", list{sEventRead}, status.Permission, `"t/event"|open it with "rw"`},
	{"signal", list{99}, status.BadHandle, "no open handle 99"},
	{"signal", list{"e"}, status.BadParams, "handle: want integer, got str"},
	{"reset", list{sValue}, status.KindMismatch, `"t/value"|no event or barrier`},
	{"reset", list{sEventRead}, status.Permission, `open it with "rw"`},
	{"reset", list{sBarrierRead}, status.Permission, `open it with "rw"`},
	{"reset", list{sGone}, status.Removed, `"t/gone"`},
	{"pulse", list{sAuto}, status.Unsupported, `"t/auto"|auto reset`},
	{"pulse", list{sEventRead}, status.Permission, `open it with "rw"`},
	{"pulse", list{sRWLock}, status.KindMismatch, "it is an rwlock, no event"},
	{"is_set", list{sCondition}, status.KindMismatch, `"t/condition"|it is a condition, no event`},
	{"is_set", list{sGone}, status.Removed, `"t/gone"`},
	{"wait", list{sEvent, 0}, status.WouldBlock, `"t/event"`},
	{"wait", list{sEvent, 1000}, status.TimedOut, `"t/event"`},
	{"wait", list{sAuto, 0}, status.WouldBlock, `"t/auto"`},
	{"wait", list{sAuto, 1000}, status.TimedOut, `"t/auto"`},
	{"wait", list{sEvent, -2}, status.Invalid, "timeout_ns is -2: -1 waits for ever"},
	{"wait", list{sEvent, 1.5}, status.BadParams, "timeout_ns: want integer, got float"},
	{"wait", list{sEventRead}, status.Permission, `open it with "rw"`},
	{"wait", list{sCondition}, status.KindMismatch, "no event"},
	{"wait", list{sBarrier}, status.KindMismatch, "no event"},

	{"wait_condition", list{sCondition}, status.NotOwner, `"t/condition"`},
	{"wait_condition", list{sCondition, 0}, status.NotOwner, `"t/condition"`},
	{"wait_condition", list{sCondition, -1, 7}, status.NotOwner, `"t/condition"`},
	{"wait_condition", list{sCondition, -2}, status.Invalid, "timeout_ns is -2"},
	{"wait_condition", list{sCondition, -1, -1}, status.BadParams, "token: want integer of at least 0"},
	{"wait_condition", list{sCondition, -1, int64(1) << 32}, status.BadParams, "token: want integer of at most"},
	{"wait_condition", list{sLock}, status.KindMismatch, `"t/lock"|it is a mutex, no condition`},
	{"wait_condition", list{sConditionLock}, status.KindMismatch, "no condition"},
	{"wait_condition", list{sGone}, status.Removed, `"t/gone"`},
	{"notify", list{sCondition}, status.NotOwner, `"t/condition"`},
	{"notify", list{sCondition, 0}, status.NotOwner, ""},
	{"notify", list{sCondition, 1, 7}, status.NotOwner, ""},
	{"notify", list{sCondition, -1}, status.Invalid, "n is -1; it must be 1 to 2147483647, or 0 for all"},
	{"notify", list{sCondition, 1 << 31}, status.Invalid, "n is 2147483648"},
	{"notify", list{sCondition, uint64(math.MaxUint64)}, status.BadParams, "n: want integer of at most"},
	{"notify", list{sCondition, nil}, status.BadParams, "n: want integer, got nil"},
	{"notify", list{sEvent}, status.KindMismatch, "it is an event, no condition"},
	{"unlock", list{sCondition}, status.NotOwner, `"t/condition"`},
	{"mark_consistent", list{sCondition}, status.NotOwner, `"t/condition"`},
	{"begin_write", list{sCondition}, status.KindMismatch, "has no data"},

	{"arrive", list{sBarrier, 0}, status.WouldBlock, `"t/barrier"`},
	{"arrive", list{sBarrier, 0, true}, status.WouldBlock, `"t/barrier"`},
	{"arrive", list{sBarrier, -2}, status.Invalid, "timeout_ns is -2"},
	{"arrive", list{sBarrier, 0, 1}, status.BadParams, "action: want boolean, got integer"},
	{"arrive", list{sBarrierRead}, status.Permission, `"t/barrier"|open it with "rw"`},
	{"arrive", list{sEvent}, status.KindMismatch, "it is an event, no barrier"},
	{"arrive", list{sGone}, status.Removed, `"t/gone"`},
	{"complete", list{sBarrier}, status.NotOwner, `"t/barrier"|leads no generation`},
	{"complete", list{sBarrier, false}, status.NotOwner, "leads no generation"},
	{"complete", list{sBarrier, nil}, status.BadParams, "ok: want boolean, got nil"},
	{"complete", list{sBarrierRead}, status.Permission, `open it with "rw"`},
	{"complete", list{sLock}, status.KindMismatch, "no barrier"},
	{"abort", list{sBarrierRead}, status.Permission, `open it with "rw"`},
	{"abort", list{sAuto}, status.KindMismatch, "no barrier"},
	{"abort", list{sGone}, status.Removed, `"t/gone"`},
	{"barrier", list{sRWLock}, status.KindMismatch, "it is an rwlock, no barrier"},
	{"barrier", list{sGone}, status.Removed, `"t/gone"`},

	{"read_lock", list{sRWLock, 0, int64(1) << 32}, status.BadParams, "token: want integer of at most"},
	{"read_lock", list{sRWLock, -2}, status.Invalid, "timeout_ns is -2"},
	{"read_lock", list{sRWLock, "0"}, status.BadParams, "timeout_ns: want integer, got str"},
	{"read_lock", list{sRWLockRead}, status.Permission, `"t/rwlock"|open it with "rw"`},
	{"read_lock", list{sWritten, 0, 3}, status.WouldBlock, `"t/written"`},
	{"read_lock", list{sWritten, 1000, 3}, status.TimedOut, `"t/written"`},
	{"read_lock", list{sWritten, -1, 2}, status.Deadlock, `"t/written"`},
	{"read_lock", list{sLock}, status.KindMismatch, "it is a mutex, no rwlock"},
	{"read_lock", list{sValue}, status.KindMismatch, "no rwlock"},
	{"read_lock", list{sGone}, status.Removed, `"t/gone"`},
	{"read_unlock", list{sRWLock}, status.NotOwner, `"t/rwlock"`},
	{"read_unlock", list{sRWLock, 2}, status.NotOwner, ""},
	{"read_unlock", list{sWritten, 2}, status.NotOwner, `"t/written"`},
	{"read_unlock", list{sRWLockRead, 1}, status.Permission, `open it with "rw"`},
	{"read_unlock", list{sQueue}, status.KindMismatch, "no rwlock"},
	{"lock", list{sRWLock, 0, 2}, status.WouldBlock, `"t/rwlock"`},
	{"lock", list{sRWLock, 1000, 2}, status.TimedOut, `"t/rwlock"`},
	{"lock", list{sRWLock, -1, 1}, status.Deadlock, `"t/rwlock"`},
	{"lock", list{sWritten, -1, 2}, status.Deadlock, `"t/written"`},
	{"lock", list{sRWLockRead}, status.Permission, `open it with "rw"`},
	{"unlock", list{sRWLock, 1}, status.NotOwner, `"t/rwlock"`},
	{"unlock", list{sWritten, 3}, status.NotOwner, `"t/written"`},
	{"mark_consistent", list{sWritten, 3}, status.NotOwner, `"t/written"`},
	{"mark_consistent", list{sRWLock, 1}, status.NotOwner, `"t/rwlock"`},

	// What the others can, these cannot.
	{"lock", list{sEvent}, status.Unsupported, `"t/event"`},
	{"unlock", list{sBarrier}, status.Unsupported, `"t/barrier"`},
	{"get", list{sEvent}, status.KindMismatch, "an event has no data"},
	{"set", list{sRWLock, 0, 1}, status.KindMismatch, "an rwlock has no data"},
	{"read", list{sCondition}, status.KindMismatch, "has no data"},
	{"write", list{sBarrier, 0, list{1}}, status.KindMismatch, "has no data"},
	{"version", list{sAuto}, status.KindMismatch, "has no data"},
	{"begin_write", list{sRWLock}, status.KindMismatch, "has no data"},
	{"acquire", list{sEvent}, status.KindMismatch, "it is an event, no semaphore"},
	{"put", list{sBarrier, 1}, status.KindMismatch, "no queue"},

	{"open", list{"t/condition", m{"access": "r"}}, status.Permission, `"t/condition"|open it with "rw"`},
	{"open", list{"t/event", m{"party": true}}, status.Invalid, `"t/event"|party is no option of an event`},
	{"open", list{"t/lock", m{"party": false}}, status.Invalid, "party is no option of a mutex"},
	{"open", list{"t/barrier", m{"party": 1}}, status.BadParams, "party: want boolean"},
	{"open", list{"t/barrier", m{"party": true, "access": "r"}}, status.Invalid, `"t/barrier"|access "r"`},
	{"open", list{"t/gone", m{"party": true}}, status.NotFound, `"t/gone"`},
	{"open", list{"t/event", m{"kind": "barrier"}}, status.KindMismatch, `"t/event"|it is an event, not a barrier`},
	{"open", list{"t/lock", m{"kind": "rwlock"}}, status.KindMismatch, "it is a mutex, not an rwlock"},
	{"open_or_create", list{"t/event", "event", m{"auto_reset": true}}, status.OptionMismatch, "auto_reset"},
	{"open_or_create", list{"t/auto", "event", m{}}, status.OptionMismatch, "auto_reset"},
	{"open_or_create", list{"t/lock", "rwlock", m{}}, status.KindMismatch, "you ask for an rwlock"},
	{"open_or_create", list{"t/barrier", "barrier", m{"parties": 3}}, status.OptionMismatch,
		"a barrier of 2 parties, you ask for 3"},
	{"open_or_create", list{"t/barrier", "barrier", m{}}, status.Invalid, "parties is missing"},
	{"open_or_create", list{"t/condition", "condition", m{"lock": "@t/other"}}, status.OptionMismatch,
		"its lock is the mutex t/lock, you ask for t/other"},
}

var badSyncCreates = []badRequest{
	creating("event", m{"initial": 1}, status.Invalid, "initial is no option of an event"),
	creating("event", m{"lock": "none"}, status.Invalid, "lock is no option of an event"),
	creating("event", m{"recursive": true}, status.Invalid, "recursive is no option of an event"),
	creating("event", m{"seats_max": 4095}, status.Invalid, "seats_max is 4095; it must be 1 to 4094"),
	badOption("event", m{"auto_reset": 1}, "auto_reset: want boolean, got integer"),
	badOption("event", m{"set": nil}, "set: want boolean, got nil"),
	creating("mutex", m{"auto_reset": true}, status.Invalid, "auto_reset is no option of a mutex"),
	creating("barrier", m{"parties": 1, "set": true}, status.Invalid, "set is no option of a barrier"),
	creating("semaphore", m{"parties": 1}, status.Invalid, "parties is no option of a semaphore"),

	creating("condition", m{}, status.Invalid, "the option lock is missing"),
	creating("condition", m{"lock": "own"}, status.Invalid, `lock is "own"; of a condition it must be "@"`),
	creating("condition", m{"lock": "none"}, status.Invalid, `lock is "none"; of a condition`),
	creating("condition", m{"lock": "t/lock"}, status.Invalid, `lock is "t/lock"`),
	badOption("condition", m{"lock": 1.5}, "lock"),
	{"create", list{"t/new", "condition", m{"lock": "@"}}, status.BadName, ""},
	{"create", list{"t/new", "condition", m{"lock": "@t/missing"}}, status.NotFound, `"t/missing"`},
	{"create", list{"t/new", "condition", m{"lock": 99999}}, status.NotFound, `"#99999"`},
	{"create", list{"t/new", "condition", m{"lock": "@t/rwlock"}}, status.KindMismatch, `"t/rwlock"|is a mutex`},
	{"create", list{"t/new", "condition", m{"lock": "@t/condition"}}, status.KindMismatch, "is a mutex"},
	creating("condition", m{"lock": "@t/lock", "strict": true}, status.Invalid, "strict is no option of a condition"),

	creating("barrier", m{}, status.Invalid, "parties is missing"),
	creating("barrier", m{"parties": 0}, status.Invalid, "parties is 0; it must be 1 to 4094"),
	creating("barrier", m{"parties": 4095}, status.Invalid, "parties is 4095; it must be 1 to 4094"),
	creating("barrier", m{"parties": uint32(math.MaxUint32)}, status.Invalid, "parties is 4294967295"),
	badOption("barrier", m{"parties": -1}, "parties: want integer of at least 0"),
	badOption("barrier", m{"parties": int64(1) << 32}, "parties: want integer of at most 4294967295"),
	badOption("barrier", m{"parties": "2"}, "parties: want integer, got str"),
	creating("rwlock", m{"recursive": true}, status.Invalid, "recursive is no option of an rwlock"),
	creating("rwlock", m{"code": "i"}, status.Invalid, "code is no option of an rwlock"),
	creating("rwlock", m{"lock": "own"}, status.Invalid, "lock is no option of an rwlock"),
	{"create", list{"t/new", "rwlock", m{"party": true}}, status.Invalid, `unknown option "party"`},
}

// Refused requests leave events, conditions, barriers and rwlocks as they are.
func TestBadSyncRequests(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	p := gather(t, d.Socket)
	for _, bad := range slices.Concat(badSyncCalls, badSyncCreates) {
		p.refuses(bad.code, bad.texts, bad.method, bad.params...)
		alive(t, witness, bad)
	}
	p.refuses(status.NotFound, "", wire.MethodStat, "t/new")
	for _, want := range []struct {
		method string
		handle int
		result string
	}{
		{wire.MethodIsSet, sEventRead, `false`},
		{wire.MethodBarrier, sBarrierRead, `{"acting":false,"broken":false,"generation":0,"last_death":null,` +
			`"parties":2,"reasons":[],"waiting":0}`},
	} {
		if got := show(p.must(want.method, want.handle)); got != want.result {
			t.Errorf("%s of %d: %s, want %s", want.method, want.handle, got, want.result)
		}
	}
	held := decoded[[]wire.Holding](p, wire.MethodHoldings)
	if len(held) != 2 || held[0].Holds != wire.HoldsRead || held[0].Count != 2 || held[1].Holds != wire.HoldsLock ||
		held[1].Count != 1 {
		t.Errorf("holdings %+v", held)
	}
	p.must(wire.MethodReadUnlock, sRWLock, 1)
	p.must(wire.MethodReadUnlock, sRWLock, 1)
	p.must(wire.MethodUnlock, sWritten, 2)
}
