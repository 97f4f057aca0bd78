package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// inPlaceStories are of a stream whose messages are made and looked at where they lie.
func inPlaceStories() []story {
	model := modelOf[streamState](streamMachine{})
	in := func(name string, good, broken []step) story {
		start := []step{claimed(1, history.RoleProducer), claimed(2, history.RoleConsumer)}
		return story{"in place: " + name, model, append(start[:2:2], good...), append(start[:2:2], broken...), nil}
	}
	reserved := ok(1, history.OpReserve, n(992))
	made := func(number int64) step { return ok(1, history.OpCommit, arg(number), n(992)) }
	given := ok(1, history.OpAbort)
	shown := func(of ...int64) step { return batch(2, history.OpPeek, of...) }
	advanced := func(of ...int64) step {
		s := batch(2, history.OpAdvance, of...)
		s.entry.Desired = int64(len(of))
		return s
	}
	full := refusal(1, history.OpReserve, status.WouldBlock, n(992))
	next := claimed(3, history.RoleConsumer)
	nothing := refusal(2, history.OpRecv, status.WouldBlock)
	ended := refusal(2, history.OpRecv, status.Ended)
	return []story{
		in("lost", []step{reserved, made(1), sent(1, 2), got(2, 1)}, []step{reserved, made(1), sent(1, 2), got(2, 2)}),
		in("given up, and there", []step{reserved, given, sent(1, 2), got(2, 2)},
			[]step{reserved, given, sent(1, 2), got(2, 1)}),
		in("there before it is made", []step{reserved, nothing, made(1)}, []step{reserved, got(2, 1), made(1)}),
		in("room for nothing", []step{reserved, made(1), reserved, made(2), full},
			[]step{reserved, given, reserved, given, full}),
		in("more room than there is", []step{reserved, made(1), made(2), made(3), made(4)},
			[]step{made(1), made(2), made(3), made(4), reserved}),
		in("by who is no producer", []step{refusal(3, history.OpReserve, status.NotOwner, n(8))},
			[]step{ok(3, history.OpReserve, n(8))}),
		in("shown, and another then", []step{sent(1, 1), sent(1, 2), shown(1, 2), got(2, 1)},
			[]step{sent(1, 1), sent(1, 2), shown(1, 2), got(2, 2)}),
		in("shown what comes later", []step{sent(1, 1), sent(1, 2), shown(1), shown(1, 2)},
			[]step{sent(1, 1), sent(1, 2), shown(2)}),
		in("shown, and gone with who looked",
			[]step{sent(1, 1), shown(1), ends(2), next, got(3, 1)},
			[]step{sent(1, 1), shown(1), ends(2), next, refusal(3, history.OpRecv, status.WouldBlock)}),
		in("received twice", []step{sent(1, 1), sent(1, 2), shown(1, 2), advanced(1), got(2, 2)},
			[]step{sent(1, 1), sent(1, 2), shown(1, 2), advanced(1), got(2, 1)}),
		in("half of an advance",
			[]step{sent(1, 1), sent(1, 2), inFlight(advanced(1, 2)), ends(2), next, got(3, 1)},
			[]step{sent(1, 1), sent(1, 2), inFlight(advanced(1, 2)), ends(2), next, got(3, 2)}),
		in("an end told before what is shown",
			[]step{sent(1, 1), retired(1, history.RoleProducer), shown(1), got(2, 1), ended},
			[]step{sent(1, 1), retired(1, history.RoleProducer), shown(1), ended}),
	}
}

func bytesStories() []story {
	model := modelOf[bytesState](bytesMachine{})
	in := func(name string, good, broken []step) story {
		start := []step{claimed(1, history.EndA), claimed(2, history.EndB)}
		return story{"bytes: " + name, model, append(start[:2:2], good...), append(start[:2:2], broken...),
			bytesMachine{}.split}
	}
	closed := step{actor: 1, entry: entry(history.OpClose, status.OK), end: true}
	wrote := func(of uint32, done int64) step { return ok(1, history.OpWriteBytes, n(of), result(done)) }
	read := func(actor int, done int64) step { return ok(actor, history.OpReadBytes, n(5000), result(done)) }
	full := refusal(1, history.OpWriteBytes, status.WouldBlock, n(9))
	empty := refusal(2, history.OpReadBytes, status.WouldBlock)
	ended, peerDied := refusal(2, history.OpReadBytes, status.Ended), refusal(2, history.OpReadBytes, status.PeerDied)
	refused := refusal(2, history.OpWriteBytes, status.Ended, n(9))
	return []story{
		in("more than were written", []step{wrote(9, 9), read(2, 4), read(2, 5)},
			[]step{wrote(9, 9), read(2, 4), read(2, 6)}),
		in("read by who wrote them", []step{wrote(9, 9), read(2, 9)}, []step{wrote(9, 9), read(1, 9)}),
		in("more than fit", []step{wrote(5000, 4096), read(2, 1), wrote(9, 1)},
			[]step{wrote(5000, 4096), read(2, 1), wrote(9, 2)}),
		in("full for nothing", []step{wrote(5000, 4096), full}, []step{wrote(5000, 4096), read(2, 1), full}),
		in("empty for nothing", []step{wrote(9, 9), read(2, 9), empty}, []step{wrote(9, 9), read(2, 8), empty}),
		in("read while it is written", []step{wrote(9, 9), along(read(2, 4)), along(empty), read(2, 5)},
			[]step{wrote(9, 9), empty, read(2, 9)}),
		in("written while it is read", []step{wrote(5000, 4096), read(2, 4096), along(wrote(900, 900)), read(2, 900)},
			[]step{wrote(5000, 4096), wrote(900, 900), read(2, 4096), read(2, 900)}),
		in("none at all", []step{wrote(9, 1)}, []step{wrote(9, 0)}),
		in("ended before the last", []step{wrote(9, 9), retired(1, history.EndA), read(2, 9), ended, ended},
			[]step{wrote(9, 9), retired(1, history.EndA), read(2, 8), ended}),
		in("ended for who writes, and never for who reads",
			[]step{retired(1, history.EndA), along(refused), along(empty), ended},
			[]step{retired(1, history.EndA), along(refused), empty, ended}),
		in("made up", []step{inFlight(wrote(9, 0)), ends(1), read(2, 9), peerDied},
			[]step{inFlight(wrote(9, 0)), ends(1), read(2, 9), read(2, 1)}),
		in("a death that is told as an end", []step{wrote(9, 9), ends(1), read(2, 9), peerDied, peerDied},
			[]step{wrote(9, 9), ends(1), read(2, 9), ended}),
		in("killed while it closes", []step{wrote(9, 9), inFlight(closed), read(2, 9), peerDied},
			[]step{wrote(9, 9), closed, read(2, 9), peerDied}),
		in("closed while it is killed", []step{wrote(9, 9), inFlight(closed), read(2, 9), ended},
			[]step{wrote(9, 9), ends(1), read(2, 9), ended}),
		in("written to who is gone", []step{ends(2), refusal(1, history.OpWriteBytes, status.PeerDied, n(9))},
			[]step{ends(2), wrote(9, 9)}),
	}
}
