package protocol

import (
	"math"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// nesting is arrays in arrays.
func nesting(depth int) any {
	var v any
	for range depth {
		v = list{v}
	}
	return v
}

var badLatchedCalls = []badRequest{
	{"acquire", list{hMutex}, status.KindMismatch, `"t/mutex"|it is a mutex, no semaphore`},
	{"acquire", list{hQueue}, status.KindMismatch, `"t/queue"|no semaphore`},
	{"acquire", list{hGone}, status.Removed, `"t/gone"`},
	{"acquire", list{hPlainRead}, status.Permission, `"t/plain"|open it with "rw"`},
	{"acquire", list{hPlain, 0}, status.Invalid, `"t/plain"|n is 0; it must be 1 to the maximum, 3`},
	{"acquire", list{hPlain, -1}, status.Invalid, "n is -1|1 to the maximum, 3"},
	{"acquire", list{hPlain, 4}, status.Invalid, "n is 4|1 to the maximum, 3"},
	{"acquire", list{hPlain, int64(1)<<32 + 1}, status.Invalid, "n is 4294967297"},
	{"acquire", list{hPlain, uint64(math.MaxUint64)}, status.BadParams, "n: want integer of at most"},
	{"acquire", list{hPlain, 1.0}, status.BadParams, "n: want integer, got float"},
	{"acquire", list{hPlain, 2}, status.Unsupported, `"t/plain"|undo`},
	{"acquire", list{hPlain, 1, -2}, status.Invalid, "timeout_ns is -2: -1 waits for ever"},
	{"acquire", list{hPlain, 1, "1s"}, status.BadParams, "timeout_ns: want integer, got str"},
	{"acquire", list{hPlain, 1, 0}, status.WouldBlock, `"t/plain"`},
	{"acquire", list{hPlain, 1, 1000}, status.TimedOut, `"t/plain"`},
	{"acquire", list{hUndo, 3, 0}, status.WouldBlock, `"t/undo"`},
	{"acquire", list{hUndo, 3, 1000}, status.TimedOut, `"t/undo"`},
	{"acquire", list{hUndo, 4}, status.Invalid, "n is 4"},
	{"release", list{hUndo}, status.NotOwner, `"t/undo"|holds 0`},
	{"release", list{hUndo, 0}, status.Invalid, "n is 0"},
	{"release", list{hPlain, 4}, status.Invalid, "n is 4; it must be 1 to the maximum, 3"},
	{"release", list{hPlainRead}, status.Permission, `open it with "rw"`},
	{"release", list{hRaw}, status.KindMismatch, "no semaphore"},
	{"release", list{hPlain, nil}, status.BadParams, "n: want integer, got nil"},
	{"post", list{hUndo, 2}, status.Overflow, `"t/undo"|the maximum is 3`},
	{"post", list{hPlain, -3}, status.Invalid, "n is -3"},
	{"post", list{hPlainRead}, status.Permission, `open it with "rw"`},
	{"post", list{hGone}, status.Removed, `"t/gone"`},
	{"permits", list{hValue}, status.KindMismatch, `"t/value"|no semaphore`},
	{"permits", list{hClosed}, status.BadHandle, "no open handle"},

	{"put", list{hMutex, 1}, status.KindMismatch, `"t/mutex"|it is a mutex, no queue`},
	{"put", list{hUndo, 1}, status.KindMismatch, "no queue"},
	{"put", list{hGone, 1}, status.Removed, `"t/gone"`},
	{"put", list{hQueueRead, 1}, status.Permission, `"t/queue"|open it with "rw"`},
	{"put", list{hQueue, 1, -2}, status.Invalid, "timeout_ns is -2"},
	{"put", list{hQueue, strings.Repeat("x", 16)}, status.TooLarge, `"t/queue"|has 17 bytes|up to 16`},
	{"put", list{hQueue, make([]byte, 100000)}, status.TooLarge, "has 100005 bytes|up to 16"},
	{"put", list{hQueue, nesting(wire.ContentDepthMax + 1)}, status.BadType, `"t/queue"|deeper than 12`},
	{"put", list{hRaw, "12345678"}, status.BadType, `"t/raw"|raw|bin`},
	{"put", list{hRaw, nil}, status.BadType, "bin"},
	{"put", list{hRaw, list{1}}, status.BadType, "bin"},
	{"put", list{hRaw, make([]byte, 9)}, status.TooLarge, `"t/raw"|has 9 bytes|up to 8`},
	{"take", list{hQueue, 0}, status.WouldBlock, `"t/queue"`},
	{"take", list{hQueue, 1000}, status.TimedOut, `"t/queue"`},
	{"take", list{hQueue, -2}, status.Invalid, "timeout_ns is -2"},
	{"take", list{hQueue, 0.0}, status.BadParams, "timeout_ns: want integer, got float"},
	{"take", list{hQueueRead}, status.Permission, `open it with "rw"`},
	{"take", list{hArray}, status.KindMismatch, "no queue"},
	{"lease", list{hRaw, 0}, status.WouldBlock, `"t/raw"`},
	{"lease", list{hRaw, 1000}, status.TimedOut, `"t/raw"`},
	{"lease", list{hQueueRead}, status.Permission, `open it with "rw"`},
	{"lease", list{hPlain}, status.KindMismatch, "no queue"},
	{"ack", list{hRaw, 7}, status.BadParams, "lease: want array, got integer"},
	{"ack", list{hRaw, list{}}, status.BadParams, "lease: want an array of slot, number and delivery, got 0 elements"},
	{"ack", list{hRaw, list{0}}, status.BadParams, "got 1 elements"},
	{"ack", list{hRaw, list{0, 0, 0, 0}}, status.BadParams, "got 4 elements"},
	{"ack", list{hRaw, list{0, 0, 1}}, status.NotOwner, "is not leased by this client"},
	{"ack", list{hRaw, list{0, 0, "1"}}, status.BadParams, "delivery: want integer, got str"},
	{"ack", list{hRaw, list{"0", 0}}, status.BadParams, "slot: want integer, got str"},
	{"ack", list{hRaw, list{0, -1}}, status.BadParams, "number: want integer of at least 0"},
	{"ack", list{hRaw, list{int64(1) << 32, 0}}, status.BadParams, "slot: want integer of at most 4294967295"},
	{"ack", list{hRaw, list{0, 0}}, status.NotOwner, `"t/raw"|is not leased by this client`},
	{"ack", list{hRaw, list{0, 1}}, status.NotOwner, "is not leased by this client"},
	{"ack", list{hRaw, list{1, 0}}, status.NotOwner, ""},
	{"ack", list{hRaw, list{uint32(math.MaxUint32), uint64(math.MaxUint64)}}, status.NotOwner, ""},
	{"ack", list{hQueueRead, list{0, 1}}, status.Permission, `open it with "rw"`},
	{"ack", list{hUndo, list{0, 1}}, status.KindMismatch, "no queue"},
	{"nack", list{hRaw, nil}, status.BadParams, "lease: want array, got nil"},
	{"nack", list{hRaw, list{0, 0}}, status.NotOwner, "is not leased by this client"},
	{"nack", list{hRaw, list{1 << 31, 1}}, status.NotOwner, ""},
	{"nack", list{hQueueRead, list{0, 1}}, status.Permission, `open it with "rw"`},
	{"put_many", list{hRaw, list{}}, status.Invalid, `"t/raw"|0 messages at once|1 to 1 (maxsize)`},
	{"put_many", list{hRaw, list{[]byte{}, []byte{}}}, status.Invalid, `"t/raw"|2 messages at once|1 to 1 (maxsize)`},
	{"put_many", list{hRaw, 7}, status.BadParams, "messages: want array, got integer"},
	{"put_many", list{hRaw, list{"text"}}, status.BadType, `"t/raw"|raw|bin`},
	{"put_many", list{hRaw, list{make([]byte, 9)}}, status.TooLarge, `"t/raw"|has 9 bytes|up to 8`},
	{"put_many", list{hQueue, list{nesting(wire.ContentDepthMax + 1)}}, status.BadType, `"t/queue"|deeper than 12`},
	{"put_many", list{hQueue, list{1}, -2}, status.Invalid, "timeout_ns is -2"},
	{"put_many", list{hQueueRead, list{1}}, status.Permission, `open it with "rw"`},
	{"put_many", list{hMutex, list{1}}, status.KindMismatch, "no queue"},
	{"put_many", list{hGone, list{1}}, status.Removed, `"t/gone"`},
	{"take_many", list{hQueue, 9, 0}, status.WouldBlock, `"t/queue"`},
	{"take_many", list{hQueue, 9, 1000}, status.TimedOut, `"t/queue"`},
	{"take_many", list{hQueue, 0}, status.Invalid, `"t/queue"|at most 0 messages`},
	{"take_many", list{hQueue, -1}, status.BadParams, "max: want integer of at least 0"},
	{"take_many", list{hQueueRead, 1}, status.Permission, `open it with "rw"`},
	{"take_many", list{hArray, 1}, status.KindMismatch, "no queue"},
	{"lease_many", list{hRaw, uint32(math.MaxUint32), 0}, status.WouldBlock, `"t/raw"`},
	{"lease_many", list{hRaw, 1, 1000}, status.TimedOut, `"t/raw"`},
	{"lease_many", list{hRaw, 0, 0}, status.Invalid, `"t/raw"|at most 0 messages`},
	{"lease_many", list{hQueueRead, 1}, status.Permission, `open it with "rw"`},
	{"lease_many", list{hPlain, 1}, status.KindMismatch, "no queue"},
	{"ack_many", list{hRaw, list{}}, status.Invalid, `"t/raw"|no leases to end`},
	{"ack_many", list{hRaw, list{7}}, status.BadParams, "lease: want array, got integer"},
	{"ack_many", list{hRaw, list{list{0}}}, status.BadParams, "got 1 elements"},
	{"ack_many", list{hQueueRead, list{list{0, 1}}}, status.Permission, `open it with "rw"`},
	{"ack_many", list{hUndo, list{list{0, 1}}}, status.KindMismatch, "no queue"},
	{"nack_many", list{hRaw, nil}, status.BadParams, "leases: want array, got nil"},
	{"nack_many", list{hQueueRead, list{list{0, 1}}}, status.Permission, `open it with "rw"`},
	{"nack_many", list{hPlain, list{list{0, 1}}}, status.KindMismatch, "no queue"},
	{"extend", list{hRaw, list{0, 1}, 1000000}, status.Unsupported, `"t/raw"|lease_ns`},
	{"extend", list{hRaw, 7, 1000000}, status.BadParams, "lease: want array, got integer"},
	{"extend", list{hRaw, list{0, 1}, -1}, status.BadParams, "lease_ns: want integer of at least 0"},
	{"extend", list{hQueueRead, list{0, 1}, 1000000}, status.Permission, `open it with "rw"`},
	{"extend", list{hPlain, list{0, 1}, 1000000}, status.KindMismatch, "no queue"},
	{"join", list{hQueue, -2}, status.Invalid, "timeout_ns is -2"},
	{"join", list{hQueueRead}, status.Permission, `open it with "rw"`},
	{"join", list{hPlain}, status.KindMismatch, "no queue"},
	{"join", list{hGone}, status.Removed, `"t/gone"`},
	{"take_dead", list{hRaw}, status.WouldBlock, `"t/raw"`},
	{"take_dead", list{hQueueRead}, status.Permission, `open it with "rw"`},
	{"take_dead", list{hMutex}, status.KindMismatch, "no queue"},
	{"redeliver", list{hQueueRead}, status.Permission, `open it with "rw"`},
	{"redeliver", list{hMutex}, status.KindMismatch, "no queue"},
	{"shutdown", list{hQueueRead}, status.Permission, `open it with "rw"`},
	{"shutdown", list{hPlain}, status.KindMismatch, "no queue"},
	{"shutdown", list{hGone}, status.Removed, `"t/gone"`},
	{"counts", list{hPlain}, status.KindMismatch, `"t/plain"|no queue`},
	{"counts", list{hGone}, status.Removed, `"t/gone"`},

	{"put", list{hLong, make([]byte, 99)}, status.TooLarge, `"t/long"|has 101 bytes|up to 100`},
	{"side", list{hMutex, 0, 0, 9}, status.KindMismatch, `"t/mutex"|no queue`},
	{"side", list{hQueueRead, 0, 0, 17}, status.Permission, `open it with "rw"`},
	{"side", list{hRaw, 0, 0, 9}, status.TooLarge, `"t/raw"|has 9 bytes|up to 8`},
	{"side", list{hLong, 0, 0, 101}, status.TooLarge, `"t/long"|has 101 bytes|up to 100`},
	{"side", list{hLong, 0, 0, uint64(math.MaxUint64)}, status.TooLarge, "18446744073709551615"},
	{"side", list{hLong, 0, 0, 8}, status.Invalid, `"t/long"|8 bytes`},
	{"side", list{hLong, 0, 0, 0}, status.Invalid, "0 bytes"},
	{"side", list{hLong, 0, 0, 9}, status.NotOwner, `"t/long"|slot 0`},
	{"side", list{hLong, 1, 0, 9}, status.NotOwner, "slot 1"},
	{"side", list{hLong, uint32(math.MaxUint32), uint64(math.MaxUint64), 9}, status.NotOwner, "slot 4294967295"},
	{"side", list{hLong, -1, 0, 9}, status.BadParams, "slot: want integer of at least 0"},
	{"side", list{hLong, 0, "0", 9}, status.BadParams, "ticket: want integer, got str"},
	{"side", list{hLong, 0, 0, -9}, status.BadParams, "size: want integer of at least 0"},
	{"map_side", list{hLong, 0}, status.Corrupt, `"t/long"|no side segment 0`},
	{"map_side", list{hLong, 1}, status.Corrupt, "no side segment 1"},
	{"map_side", list{hRaw, 1}, status.Corrupt, "no side segment 1"},
	{"map_side", list{hQueueRead, 1}, status.Permission, `open it with "rw"`},
	{"map_side", list{hLong, int64(1) << 32}, status.BadParams, "side: want integer of at most 4294967295"},
	{"map_side", list{hUndo, 1}, status.KindMismatch, "no queue"},
	{"map_side", list{hGone, 1}, status.Removed, `"t/gone"`},

	// What values and locks can, these cannot.
	{"get", list{hQueue}, status.KindMismatch, "has no data"},
	{"set", list{hPlain, 0, 1}, status.KindMismatch, "has no data"},
	{"read", list{hRaw}, status.KindMismatch, "has no data"},
	{"write", list{hUndo, 0, list{1}}, status.KindMismatch, "has no data"},
	{"version", list{hQueue}, status.KindMismatch, "has no data"},
	{"wait_change", list{hPlain, 0, 0}, status.KindMismatch, "has no data"},
	{"begin_write", list{hQueue}, status.KindMismatch, ""},
	{"lock", list{hQueue}, status.Unsupported, `"t/queue"`},
	{"unlock", list{hPlain}, status.Unsupported, `"t/plain"`},
	{"mark_consistent", list{hUndo}, status.Unsupported, `"t/undo"`},

	{"open", list{"t/queue", m{"kind": "semaphore"}}, status.KindMismatch, `"t/queue"|not a semaphore`},
	{"open", list{"t/undo", m{"kind": "queue"}}, status.KindMismatch, `"t/undo"|not a queue`},
	{"open_or_create", list{"t/queue", "semaphore", m{}}, status.KindMismatch, "you ask for a semaphore"},
	{"open_or_create", list{"t/plain", "semaphore", m{"maximum": 4}}, status.OptionMismatch,
		"its maximum is 3, you ask for 4"},
	{"open_or_create", list{"t/plain", "semaphore", m{"maximum": 3, "undo": true}}, status.OptionMismatch, "undo"},
	{"open_or_create", list{"t/queue", "queue", m{"maxsize": 2, "slot_size": 16}}, status.OptionMismatch,
		"1 messages|2 messages"},
	{"open_or_create", list{"t/queue", "queue", m{"maxsize": 1, "slot_size": 24}}, status.OptionMismatch, "16|24"},
	{"open_or_create", list{"t/queue", "queue", m{"maxsize": 1, "slot_size": 16, "message_max": 15}},
		status.OptionMismatch, "16|15"},
	{"open_or_create", list{"t/queue", "queue", m{"maxsize": 1, "slot_size": 16, "deliveries_max": 7}},
		status.OptionMismatch, "7"},
	{"open_or_create", list{"t/queue", "queue", m{"maxsize": 1, "slot_size": 16, "content": "raw"}},
		status.OptionMismatch, "raw"},
}

var badLatchedCreates = []badRequest{
	creating("semaphore", m{"maximum": 0}, status.Invalid, "maximum is 0; it must be 1 to 2147483647"),
	creating("semaphore", m{"maximum": 1 << 31}, status.Invalid, "maximum is 2147483648|1 to 2147483647"),
	creating("semaphore", m{"initial": 4, "maximum": 3}, status.Invalid, "initial is 4|0 to the maximum, 3"),
	creating("semaphore", m{"initial": 1 << 31}, status.Invalid, "initial is 2147483648"),
	badOption("semaphore", m{"maximum": int64(1) << 32}, "maximum: want integer of at most 4294967295"),
	badOption("semaphore", m{"initial": -1}, "initial: want integer of at least 0"),
	badOption("semaphore", m{"initial": "1"}, "initial: want integer, got str"),
	badOption("semaphore", m{"undo": 1}, "undo: want boolean"),
	creating("semaphore", m{"code": "i"}, status.Invalid, "code is no option of a semaphore"),
	creating("semaphore", m{"recursive": true}, status.Invalid, "recursive is no option of a semaphore"),
	creating("semaphore", m{"maxsize": 1}, status.Invalid, "maxsize is no option of a semaphore"),
	creating("semaphore", m{"content": "raw"}, status.Invalid, "content is no option of a semaphore"),
	creating("semaphore", m{"lock": "none"}, status.Invalid, "lock is no option of a semaphore"),
	creating("semaphore", m{"seats_max": 4095}, status.Invalid, "seats_max is 4095; it must be 1 to 4094"),
	creating("mutex", m{"initial": 1}, status.Invalid, "initial is no option of a mutex"),
	creating("mutex", m{"undo": true}, status.Invalid, "undo is no option of a mutex"),
	creating("value", m{"code": "i", "maximum": 1}, status.Invalid, "maximum is no option of a value"),
	creating("array", m{"code": "i", "length": 1, "slot_size": 8}, status.Invalid, "slot_size is no option of a"),

	creating("queue", m{"maxsize": 0}, status.Invalid, "maxsize is 0|1 to 65536"),
	creating("queue", m{"maxsize": 65537}, status.Invalid, "maxsize is 65537|1 to 65536"),
	creating("queue", m{"slot_size": 7}, status.Invalid, "slot_size is 7|8 to 1048576"),
	creating("queue", m{"slot_size": 1<<20 + 1}, status.Invalid, "slot_size is 1048577|8 to 1048576"),
	creating("queue", m{"message_max": 0}, status.Invalid, "message_max"),
	creating("queue", m{"message_max": 1<<30 + 1}, status.Invalid, "message_max"),
	creating("queue", m{"deliveries_max": 255}, status.Invalid, "deliveries_max is 255|1 to 254"),
	creating("queue", m{"content": "json"}, status.Invalid, `content is "json"|msgpack or raw`),
	badOption("queue", m{"maxsize": -1}, "maxsize: want integer of at least 0"),
	badOption("queue", m{"maxsize": int64(1) << 32}, "maxsize: want integer of at most"),
	badOption("queue", m{"slot_size": 8.0}, "slot_size: want integer, got float"),
	badOption("queue", m{"message_max": nil}, "message_max: want integer, got nil"),
	creating("queue", m{"lease_ns": 999999}, status.Invalid, "lease_ns is 999999|1000000"),
	creating("queue", m{"lease_ns": uint64(math.MaxUint64)}, status.Invalid, "lease_ns is 18446744073709551615"),
	badOption("queue", m{"lease_ns": "1s"}, "lease_ns: want integer, got str"),
	badOption("queue", m{"deliveries_max": true}, "deliveries_max: want integer, got bool"),
	badOption("queue", m{"content": 1}, "content: want str, got integer"),
	creating("queue", m{"initial": 1}, status.Invalid, "initial is no option of a queue"),
	creating("queue", m{"undo": true}, status.Invalid, "undo is no option of a queue"),
	creating("queue", m{"length": 1}, status.Invalid, "length is no option of a queue"),
	creating("queue", m{"code": "i"}, status.Invalid, "code is no option of a queue"),
	creating("queue", m{"init": list{}}, status.Invalid, "init is no option of a queue"),
	creating("queue", m{"maxsize": 65536, "slot_size": 1 << 20}, status.Quota, "destroy some"),
}

// badOption is a create with an option of the wrong sort.
func badOption(kind string, options m, texts string) badRequest {
	return badRequest{wire.MethodCreate, list{"t/new", kind, options}, status.BadParams, texts}
}

// latchedUnchanged checks that the tables changed nothing, and what a read-only
// handle may.
func latchedUnchanged(t *testing.T, p *peer) {
	t.Helper()
	for _, want := range []struct {
		method string
		handle int
		result string
	}{
		{wire.MethodPermits, hPlainRead, `{"available":0,"held":0,"maximum":3,"total":0}`},
		{wire.MethodPermits, hUndo, `{"available":2,"held":0,"maximum":3,"total":2}`},
		{wire.MethodCounts, hQueueRead,
			`{"dead":0,"free":1,"leased":0,"maxsize":1,"ready":0,"shutdown":false,"writing":0}`},
		{wire.MethodCounts, hRaw, `{"dead":0,"free":1,"leased":0,"maxsize":1,"ready":0,"shutdown":false,"writing":0}`},
	} {
		if got := show(p.must(want.method, want.handle)); got != want.result {
			t.Errorf("%s of %d: %s, want %s", want.method, want.handle, got, want.result)
		}
	}
}
