package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/daemon/keeper"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// chronicle is what a successor will know of this daemon: the journal, and with the
// keeper the descriptors that it speaks of. A nil chronicle does nothing.
//
// Order: the descriptor is safe at the keeper, then there is a record, then an answer. The
// other way round at the end: a record that it is gone, then the keeper drops it.
type chronicle struct {
	link    *keeper.Link     // immutable
	journal *journal.Journal // immutable
}

// Keys of what the keeper holds.
func objectKey(id uint64) string { return "o" + strconv.FormatUint(id, 10) }
func clientKey(id uint64) string { return "c" + strconv.FormatUint(id, 10) }
func sideKey(id uint64, number uint32) string {
	return "s" + strconv.FormatUint(id, 10) + "." + strconv.FormatUint(uint64(number), 10)
}

// put makes a descriptor outlive the daemon.
func (c *chronicle) put(key string, f *os.File) error {
	if c == nil {
		return nil
	}
	return c.link.Put(key, f)
}

// drop ends that; the file may be closed then.
func (c *chronicle) drop(key string) {
	if c != nil {
		c.link.Drop(key)
	}
}

// record says what has happened.
func (c *chronicle) record(records ...journal.Record) {
	if c != nil {
		c.journal.Append(records...)
	}
}

// close ends the writing; quit ends the keeper too, and all that it holds.
func (c *chronicle) close(quit bool) error {
	if c == nil {
		return nil
	}
	c.link.Close(quit)
	return c.journal.Close()
}

// heritage is what the daemon before has left.
type heritage struct {
	state *journal.State
	files map[string]*os.File // by key
}

// inherit connects to the keeper and reads what it holds. Without a journal, or with one
// that is damaged, nothing can be believed: names are lost, and clients that come back are
// told so. A journal of another build is an error, for that build can go on with it.
func inherit(ctx context.Context, c Config) (*keeper.Link, *heritage, error) {
	link, entries, err := keeper.Connect(ctx, keeper.LinkConfig{
		Socket: keeper.Path(c.Socket), Command: c.KeeperCommand, Logger: c.Logger})
	if err != nil {
		return nil, nil, err
	}
	h := &heritage{files: make(map[string]*os.File, len(entries))}
	for _, e := range entries {
		h.files[e.Key] = e.File
	}
	if file := h.files[keeper.JournalKey]; file != nil {
		h.state, err = journal.Load(file, shm.ABIFingerprint)
		if err == nil {
			err = h.complete()
		}
	}
	switch {
	case errors.Is(err, status.Version):
		h.forgetAll(nil)
		link.Close(false)
		return nil, nil, status.Wrap(status.Version, "start the daemon", err, "the keeper holds the objects of "+
			"another build of shmd: start that, or give them up with \"shmd keeper --stop\"")
	case err != nil:
		c.Logger.Error("names are lost: what the daemon before left is damaged", "error", err)
	}
	if h.state == nil || err != nil {
		h.forgetAll(link)
		h.state = nil
	}
	return link, h, nil
}

// complete checks that the keeper has what the journal speaks of.
func (h *heritage) complete() error {
	need := func(key string) error {
		if h.files[key] == nil {
			return status.New(status.Corrupt, "replay", "the keeper has no descriptor %s", key)
		}
		return nil
	}
	for id, o := range h.state.Objects {
		err := need(objectKey(id))
		for number := range o.Sides {
			err = errors.Join(err, need(sideKey(id, number)))
		}
		if err != nil {
			return err
		}
	}
	for id := range h.state.Clients {
		if err := need(clientKey(id)); err != nil {
			return err
		}
	}
	return nil
}

// take hands out a file, and makes the keeper's next one have it too.
func (h *heritage) take(link *keeper.Link, key string) *os.File {
	f := h.files[key]
	delete(h.files, key)
	link.Adopt(key, f)
	return f
}

// forgetAll gives up what is left: descriptors without a record, of a create that was not
// finished, or of something that was gone. With a link the keeper forgets them too.
func (h *heritage) forgetAll(link *keeper.Link) {
	for key, f := range h.files {
		if link != nil && key != keeper.JournalKey {
			link.Drop(key)
		}
		f.Close()
	}
	clear(h.files)
}

// begin publishes a journal of the state with a new epoch.
func begin(link *keeper.Link, state *journal.State, log *slog.Logger, point func(string)) (*chronicle, error) {
	c := &chronicle{link: link}
	var err error
	c.journal, err = journal.New(journal.Options{
		Fingerprint: shm.ABIFingerprint,
		SizeMin:     journalSizeMin,
		Publish:     func(f *os.File) error { return link.Put(keeper.JournalKey, f) },
		Failed: func(err error) {
			log.Error("the journal lacks records: until it has them all, nothing survives the daemon", "error", err)
		},
		Point: point,
	}, state)
	return c, err
}

// recorded is the object's record.
func (o *object) recorded() journal.Record {
	r := &journal.Object{ID: o.id, Name: o.name, Geometry: o.geometry, UID: o.uid, GID: o.gid, Mode: o.mode,
		Lifetime: o.lifetime}
	if o.creator != nil {
		r.Creator = o.creator.id
	}
	return r
}

// recorded is the seat's record.
func (s *seat) recorded(generation uint32) journal.Record {
	r := &journal.Seat{Object: s.object.id, Number: s.number, Client: s.client.id, Generation: generation}
	if s.guard != nil {
		r.Guard = s.guard.number
	}
	return r
}

// recorded is the handle's record.
func (h *handle) recorded() journal.Record {
	r := &journal.Handle{Client: h.seat.client.id, Number: h.number, Object: h.seat.object.id, Seat: h.seat.number,
		Request: h.request, ReadOnly: h.readOnly, Roles: uint8(h.roles)}
	if h.mutex != nil {
		r.Mutex = h.mutex.number
	}
	return r
}

// recorded is the client's record.
func (c *client) recorded() journal.Record {
	return &journal.Client{ID: c.id, UUID: c.uuid, PID: c.peer.pid, UID: c.peer.uid, GID: c.peer.gid,
		Groups: c.peer.groups, Software: c.software}
}
