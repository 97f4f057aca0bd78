package daemon

import "github.com/shmd/shmd/wire"

// Limits bound what one user has. A field that is zero is as for everybody.
type Limits struct {
	Objects     uint64 // side segments of queues included
	Bytes       uint64 // of their memory
	Connections uint64 // zombies included
	Handles     uint64 // open, on all connections
	Seats       uint64 // in objects
	Tokens      uint64 // that hold rwlocks or wait for them
	Waiting     uint64 // calls that wait
	BufferBytes uint64 // of messages under way
	Tickets     uint64 // that are good
}

// usage are the limits by resource. Whoever is given objects or connections is given the
// descriptors for them.
func (l Limits) usage(most *usage) (u usage) {
	for what := range resources {
		if field := l.field(what); field != nil {
			u[what] = *field
		}
	}
	if l.Objects != 0 || l.Connections != 0 {
		u[resDescriptors] = segmentDescriptors*orMost(l.Objects, most[resObjects]) +
			(connectionDescriptors+1)*orMost(l.Connections, most[resConnections])
	}
	return u
}

func orMost(n, most uint64) uint64 {
	if n == 0 {
		return most
	}
	return n
}

// What the daemon itself needs at most for one thing that it counts, in bytes, and
// which part of Config.MemoryBytes all such things may take together. Half of that is
// for segments (Config.BudgetBytes); what is left over is for the daemon as such.
const (
	connectionCost  = 2*inputBusy + 32<<10 // both buffers, two goroutines
	connectionsPart = 8
	objectCost      = 8 << 10
	objectsPart     = 16
	seatCost        = 1 << 10 // with the handle on it
	seatsPart       = 16
	ticketCost      = 1 << 10 // with its record
	ticketsPart     = 64
	waitingCost     = 16 << 10 // a goroutine
	waitingPart     = 16
	buffersPart     = 16
	buffersMin      = 2 * wire.MessageMax
	buffersMax      = 256 << 20
)

// limits are those of one user, and of all together.
func (c *Config) limits() (most, pool usage) {
	for i := range most {
		most[i], pool[i] = unlimited, unlimited
	}
	pool[resBytes] = c.BudgetBytes
	pool[resDescriptors] = c.descriptors
	pool[resConnections] = max(1, c.MemoryBytes/connectionsPart/connectionCost)
	pool[resObjects] = max(1, c.MemoryBytes/objectsPart/objectCost)
	pool[resSeats] = max(1, c.MemoryBytes/seatsPart/seatCost)
	pool[resHandles], pool[resTokens] = pool[resSeats], pool[resSeats]
	pool[resTickets] = max(1, c.MemoryBytes/ticketsPart/ticketCost)
	pool[resWaiting] = min(uint64(c.WaitingMax), max(1, c.MemoryBytes/waitingPart/waitingCost))
	pool[resBuffers] = min(buffersMax, max(buffersMin, c.MemoryBytes/buffersPart))
	for what, n := range map[resource]uint64{resObjects: c.QuotaObjects, resBytes: c.QuotaBytes,
		resConnections: c.QuotaConnections, resHandles: c.QuotaHandles, resSeats: c.QuotaSeats,
		resTokens: c.QuotaTokens, resWaiting: c.QuotaWaiting, resBuffers: c.QuotaBufferBytes,
		resTickets: c.QuotaTickets} {
		most[what] = orMost(n, unlimited)
	}
	return most, pool
}

// field is the limit of a resource; nil if a user is given none of his own.
func (l *Limits) field(what resource) *uint64 {
	switch what {
	case resObjects:
		return &l.Objects
	case resBytes:
		return &l.Bytes
	case resConnections:
		return &l.Connections
	case resHandles:
		return &l.Handles
	case resSeats:
		return &l.Seats
	case resTokens:
		return &l.Tokens
	case resWaiting:
		return &l.Waiting
	case resBuffers:
		return &l.BufferBytes
	case resTickets:
		return &l.Tickets
	}
	return nil
}

// LimitNames are the limits that a user may be given, as the method quota calls them.
func LimitNames() (names []string) {
	for what := range resources {
		if new(Limits).field(what) != nil {
			names = append(names, resourceTable[what].name)
		}
	}
	return names
}

// Limit is the limit that has one of LimitNames, nil if there is none.
func (l *Limits) Limit(name string) *uint64 {
	for what := range resources {
		if field := l.field(what); field != nil && resourceTable[what].name == name {
			return field
		}
	}
	return nil
}
