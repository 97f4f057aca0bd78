package wire

import "github.com/shmd/shmd/status"

// What rings() creates.
var (
	vectorFlow = Info{ID: 13, Name: "jobs/flow", Kind: KindStream, Length: 4096, SeatsMax: 64, Mode: 0o600, UID: 1000,
		GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000012, SegmentSize: 8192, Capacity: 4096,
		MessageMax: 16}
	vectorTalk = Info{ID: 14, Name: "jobs/talk", Kind: KindPipe, Length: 4096, SeatsMax: 64, Mode: 0o600, UID: 1000,
		GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000013, SegmentSize: 12288, Capacity: 4096,
		MessageMax: 5000}
	vectorTube = Info{ID: 15, Name: "jobs/tube", Kind: KindPipe, Length: 4096, Flags: []string{FlagBytes}, SeatsMax: 64,
		Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000014,
		SegmentSize: 12288, Capacity: 4096}
)

// Handles of client 1, behind those of synchronisers().
const (
	flow = table + 1 + iota
	flowConsumer
	talk
	tube
	batch // of batches()
)

func (r *recorder) rings() {
	r.stream()
	r.pipe()
	r.bytes()
}

func (r *recorder) stream() {
	notOwner := fails(status.NotOwner, "claim it first").On("jobs/flow")
	attached := made(vectorFlow, flow)
	attached.DataOffset, attached.DataSize = 4096, 4096
	r.call("create of a stream", MethodCreate, "messages of at most 16 bytes in a ring of 4096", attached, "jobs/flow",
		KindStream, CreateOptions{Capacity: new(uint32(4096)), MessageMax: new(uint32(16))})
	r.call("create of a stream of an odd size", MethodCreate, "", fails(status.Invalid,
		"capacity is 5000 bytes; it must be a power of two, 4096 to 268435456").On("jobs/odd"), "jobs/odd", KindStream,
		CreateOptions{Capacity: new(uint32(5000))})
	r.call("send without the role", MethodSend, "", notOwner, flow, []byte("a"))
	r.call("recv without the role", MethodRecv, "", notOwner, flow)
	r.call("claim", MethodClaim, "the producer's role", RoleProducer, flow, RoleProducer)
	r.call("claim again", MethodClaim, "what one has", RoleProducer, flow, RoleProducer)
	r.call("claim of an unknown role", MethodClaim, "", fails(status.Invalid,
		`role is "writer"; of a stream it must be producer or consumer`).On("jobs/flow"), flow, "writer")
	r.call("claim of an event", MethodClaim, "", isNo("an event", "stream, pipe or queue").On("jobs/go"), gate,
		RoleProducer)
	r.call("send", MethodSend, "timeout left out", nil, flow, []byte("first"))
	r.call("send_many", MethodSendMany, "three, the second empty", 3, flow,
		[]any{[]byte("second"), []byte{}, []byte("fourth")})
	r.call("send_many of nothing", MethodSendMany, "", fails(status.Invalid,
		"0 messages; it must be at least 1").On("jobs/flow"), flow, []any{})
	r.call("send of a long message", MethodSend, "both sizes are named", fails(status.TooLarge,
		"the message has 17 bytes; this stream takes up to 16 (message_max)").On("jobs/flow"), flow, make([]byte, 17))
	r.call("write_bytes of a stream", MethodWriteBytes, "", fails(status.Unsupported,
		"a stream of messages: send and recv").On("jobs/flow"), flow, []byte("x"))
	attached.Handle, attached.Created, attached.Role = flowConsumer, false, RoleConsumer
	r.call("open as the consumer", MethodOpen, "the role is claimed at once", attached, "jobs/flow",
		OpenOptions{Role: new(RoleConsumer)})
	r.call("open of an event as a producer", MethodOpen, "", fails(status.Invalid,
		"role is no option of an event").On("jobs/go"), "jobs/go", OpenOptions{Role: new(RoleProducer)})
	r.call("recv", MethodRecv, "", []byte("first"), flow)
	r.call("recv_many", MethodRecvMany, "two of three", []any{[]byte("second"), []byte{}}, flow, 2)
	r.call("recv_many of none", MethodRecvMany, "", fails(status.Invalid,
		"max is 0; it must be at least 1").On("jobs/flow"), flow, 0)
	r.call("stat of a stream", MethodStat, "the message that is left takes 16 bytes", Stat{Info: vectorFlow,
		State: StateLive, Linked: true, Handles: 2, Seats: []Seat{{Seat: 1, PID: 4242, UID: 1000, Client: 1, Holds: 2}},
		Rings: []Ring{{UsedBytes: 16, Producer: &Holder{Seat: 1, PID: 4242}, Consumer: &Holder{Seat: 1, PID: 4242}}}},
		"jobs/flow")
	r.call("retire", MethodRetire, "the producer's role: an orderly end", nil, flow, RoleProducer)
	r.call("retire again", MethodRetire, "", notOwner, flow, RoleProducer)
	r.call("recv of the last", MethodRecv, "", []byte("fourth"), flow, 0)
	r.call("recv of the end", MethodRecv, "told once",
		fails(status.Ended, "the producer retired; recv waits for the next from now on").On("jobs/flow"), flow)
	r.call("recv after the end", MethodRecv, "it waits for the next producer",
		fails(status.WouldBlock, "").On("jobs/flow"), flow, 0)
	r.call("recv that ends", MethodRecv, "", fails(status.TimedOut, "").On("jobs/flow"), flow, 1000000)
	r.call("wait_any of a stream", MethodWaitAny, "nothing can be received",
		fails(status.WouldBlock, ""), []any{item(flow, UntilReadable)}, 0)
}

func (r *recorder) pipe() {
	attached := made(vectorTalk, talk)
	attached.DataOffset, attached.DataSize = 4096, 8192
	r.call("create of a pipe", MethodCreate, "messages of at most 5000 bytes; those of more than 2040 go in pieces",
		attached, "jobs/talk", KindPipe, CreateOptions{Capacity: new(uint32(4096)), MessageMax: new(uint32(5000))})
	r.call("claim of any end", MethodClaim, "", EndA, talk, EndAny)
	r.call("claim of the other end", MethodClaim, "one client may have both", EndB, talk, EndB)
	r.call("send without saying which", MethodSend, "", fails(status.Invalid,
		"this client has both ends: end must be a or b").On("jobs/talk"), talk, []byte("x"))
	r.call("send from a", MethodSend, "", nil, talk, []byte("ping"), -1, EndA)
	r.call("recv at b", MethodRecv, "", []byte("ping"), talk, -1, EndB)
	r.call("holdings of a consumer and two ends", MethodHoldings, "and permits", List[Holding]{
		{ID: 4, Name: "jobs/slots", Kind: KindSemaphore, Holds: HoldsPermits, Count: 4},
		{ID: 13, Name: "jobs/flow", Kind: KindStream, Holds: HoldsConsumer, Count: 1},
		{ID: 14, Name: "jobs/talk", Kind: KindPipe, Holds: HoldsEnd, Count: 1, End: EndA},
		{ID: 14, Name: "jobs/talk", Kind: KindPipe, Holds: HoldsEnd, Count: 1, End: EndB}})
	r.call("retire of an end", MethodRetire, "", nil, talk, EndA)
	r.call("recv from who is gone", MethodRecv, "end left out: there is only one",
		fails(status.Ended, "the other end was closed").On("jobs/talk"), talk)
	r.call("send to who is gone", MethodSend, "",
		fails(status.Ended, "the other end was closed").On("jobs/talk"), talk, []byte("x"))
	r.call("claim of an end that was retired", MethodClaim, "", fails(status.Ended,
		"an end is claimed once, and whoever had it closed it, or died").On("jobs/talk"), talk, EndA)
	r.call("read_bytes of messages", MethodReadBytes, "", fails(status.Unsupported,
		"a pipe of messages: send and recv").On("jobs/talk"), talk, 1)
}

func (r *recorder) bytes() {
	attached := made(vectorTube, tube)
	attached.DataOffset, attached.DataSize = 4096, 8192
	r.call("create of a pipe for bytes", MethodCreate, "", attached, "jobs/tube", KindPipe,
		CreateOptions{Capacity: new(uint32(4096)), Bytes: new(true)})
	r.call("claim of a", MethodClaim, "", EndA, tube, EndA)
	r.call("claim of b", MethodClaim, "", EndB, tube, EndB)
	r.call("write_bytes", MethodWriteBytes, "", 5, tube, []byte("hello"), -1, EndA)
	r.call("read_bytes", MethodReadBytes, "at most 4", []byte("hell"), tube, 4, -1, EndB)
	r.call("read_bytes of the rest", MethodReadBytes, "at most 100", []byte("o"), tube, 100, -1, EndB)
	r.call("read_bytes of nothing", MethodReadBytes, "", fails(status.WouldBlock, "").On("jobs/tube"),
		tube, 100, 0, EndB)
	r.call("recv of bytes", MethodRecv, "", fails(status.Unsupported,
		"a pipe of bytes: write_bytes and read_bytes").On("jobs/tube"), tube, -1, EndB)
	r.call("recv_many of bytes", MethodRecvMany, "", fails(status.Unsupported,
		"a pipe of bytes: write_bytes and read_bytes").On("jobs/tube"), tube, 1, -1, EndB)
}
