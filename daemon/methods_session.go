package daemon

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const (
	// softwareMax bounds what a client may say of itself.
	softwareMax = 64
	// clientsPage is the number of clients that one answer tells of at most.
	clientsPage = 1024
)

// hello makes a client of a connection. A retried hello is the same client.
func (c *call) hello() error {
	if err := c.params.Arity(4, 5); err != nil {
		return err
	}
	least, err := c.params.Uint32("version_min")
	if err != nil {
		return err
	}
	most, err := c.params.Uint32("version_max")
	if err != nil {
		return err
	}
	uuid, err := c.params.Bin("uuid")
	if err != nil {
		return err
	}
	software, err := c.params.Str("software")
	if err != nil {
		return err
	}
	resume := c.params.More()
	doubtful, err := c.doubtful()
	if err != nil {
		return err
	}
	version := min(most, wire.VersionMax)
	switch {
	case version < max(least, wire.VersionMin):
		return status.New(status.Version, "",
			"the client speaks versions %d to %d, this daemon %d to %d: update the older one",
			least, most, wire.VersionMin, wire.VersionMax)
	case len(uuid) != len(c.client.uuid):
		return status.New(status.Invalid, "", "the uuid has %d bytes, it must have %d", len(uuid), len(c.client.uuid))
	case len(software) > softwareMax:
		return status.New(status.Invalid, "", "software has %d bytes, at most %d", len(software), softwareMax)
	case c.client.id != 0 && !bytes.Equal(uuid, c.client.uuid[:]):
		return status.New(status.Identity, "", "this connection is another client already: connect once more")
	}
	srv := c.session.server
	if c.client.id == 0 {
		if err := c.enter([16]byte(uuid), software, resume, doubtful); err != nil {
			return err
		}
		_ = c.session.conn.SetReadDeadline(time.Time{}) // fails only on a closed socket, which Read tells
	}
	return c.encoded(&wire.HelloResult{
		Version: version, Server: Version, Epoch: uint64(srv.epoch), Client: c.client.id,
		UID: c.client.peer.uid, PID: c.client.peer.pid, MessageMax: wire.MessageMax,
		SeatsDefault: srv.seatsDefault.Load(), ABIVersion: shm.ABIVersion, ABICompat: shm.ABICompat,
		ABIFingerprint: shm.ABIFingerprint,
		Resumable:      srv.chronicle != nil,
	})
}

// doubtful reads the optional list of the requests to attach that a client which comes
// back was not answered.
func (c *call) doubtful() (requests []uint32, err error) {
	if !c.params.More() {
		return nil, nil
	}
	list, err := c.params.List("doubtful")
	if err != nil {
		return nil, err
	}
	if list.Len() > wire.PendingMax {
		return nil, status.New(status.Invalid, "", "doubtful has %d requests, at most %d may be under way", list.Len(),
			wire.PendingMax)
	}
	for list.More() {
		request, err := list.Uint32("doubtful")
		if err != nil {
			return nil, err
		}
		requests = append(requests, request)
	}
	return requests, nil
}

// enter makes the session that of a new client, or of one that comes back; what doubtful
// requests opened is closed then.
func (c *call) enter(uuid [16]byte, software string, resume bool, doubtful []uint32) error {
	srv := c.session.server
	back, err := srv.comeBack(uuid, c.client.peer, c.session, resume)
	switch {
	case err != nil:
		return err
	case back != nil:
		c.session.client, c.client = back, back
		for _, h := range c.session.openedBy(doubtful) {
			if h.ticket != nil { // to open it again
				srv.giveBack(h.ticket)
			}
			c.session.closeHandle(h)
		}
		return nil
	case resume:
		return status.New(status.Lost, "", "this daemon knows no such client: the one before and its keeper are gone, "+
			"or it gave the client up; what is mapped goes on working, names have to be created again")
	}
	c.client.uuid, c.client.software = uuid, software
	return srv.enroll(c.client)
}

func (c *call) ping() error {
	if err := c.params.Arity(0, 0); err != nil {
		return err
	}
	return c.nothing()
}

// bye ends the connection in an orderly way. It is answered at the very end, so
// that who has the answer knows that everything is given back.
func (c *call) bye() error {
	if err := c.params.Arity(0, 0); err != nil {
		return err
	}
	bye := *c
	c.session.bye, c.session.broken, c.answered = &bye, true, true
	return nil
}

func (c *call) status() error {
	if err := c.params.Arity(0, 0); err != nil {
		return err
	}
	srv := c.session.server
	result := wire.Status{
		Server: Version, Epoch: uint64(srv.epoch), PID: int32(os.Getpid()), UptimeNS: int64(time.Since(srv.started)),
		Waiting: srv.quota.used(resWaiting), BudgetBytes: srv.quota.pooled(resBytes),
		Deaths: srv.metrics.deaths.Load(), Recoveries: srv.metrics.recoveries.Load(),
		LastRecoveryNS: srv.metrics.lastRecovery.Load(), Zombies: uint64(srv.zombies.count()),
	}
	result.Objects, result.Bytes = srv.registry.totals()
	srv.mu.Lock()
	result.Clients = uint64(len(srv.clients))
	srv.mu.Unlock()
	return c.encoded(&result)
}

func (c *call) clients() error {
	if err := c.params.Arity(0, 1); err != nil {
		return err
	}
	after, err := c.params.Uint64Or("after", 0)
	if err != nil {
		return err
	}
	srv := c.session.server
	srv.mu.Lock()
	all := make([]*client, 0, len(srv.clients))
	for _, other := range srv.clients {
		if other.id > after {
			all = append(all, other)
		}
	}
	srv.mu.Unlock()
	slices.SortFunc(all, func(a, b *client) int { return cmp.Compare(a.id, b.id) })
	result := make(wire.List[wire.ClientInfo], 0, min(len(all), clientsPage))
	for _, other := range all[:min(len(all), clientsPage)] {
		info := wire.ClientInfo{
			Client: other.id, PID: other.peer.pid, UID: other.peer.uid, GID: other.peer.gid, Software: other.software,
			Zombie: other.isZombie(),
		}
		info.Objects, info.Mapped = srv.registry.usedBy(other)
		result = append(result, info)
	}
	return c.encoded(&result)
}
