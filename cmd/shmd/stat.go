package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/wire"
)

func (a *app) newStat() *cobra.Command {
	return &cobra.Command{
		Use:   "stat NAME",
		Short: "Show everything about an object: who holds it, who waits, who died",
		Long: `Show one object: what it is, who holds its lock, how many threads wait for it, which
processes have it open, and whether an owner died holding it; of a semaphore the permits
that are available and held, of a queue how many messages are ready, leased, being
written or dead letters, of an event whether it is set, of a barrier how many have
arrived, or why it is broken, of an rwlock who writes and how many read, of a stream or a
pipe who sends to whom, and how much is under way.

This is a look from outside, taken without any lock: what it shows may have changed
when you read it. "waiting" counts threads that sleep in the object, wherever they
are; the list of seats names the processes, one seat each.`,
		Example: `shmd create jobs/lock mutex
shmd stat jobs/lock
shmd create jobs/todo queue
shmd stat jobs/todo
shmd stat jobs/lock --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				var s wire.Stat
				if err := c.Call(ctx, wire.MethodStat, &s, ref); err != nil {
					return on(args[0], err)
				}
				l := a.levels(ctx, c, &s)
				if a.json {
					return a.emit(append(statDocument(&s), l.document()...))
				}
				return a.showStat(&s, l)
			})
		},
	}
}

// statDocument says of each kind what it has, also where that is 0 or false.
func statDocument(s *wire.Stat) document {
	var more document
	switch s.Kind {
	case wire.KindEvent:
		more = document{{"set", s.Set}}
	case wire.KindRWLock:
		more = document{{"readers", s.Readers}}
	}
	bare := *s
	bare.Set, bare.Readers = false, 0    // and so left out
	bare.Waiting, bare.Broken = 0, false // of a barrier, which has a part of its own
	return append(documentOf(bare), more...)
}

func (a *app) showStat(s *wire.Stat, l levels) error {
	t := a.newTable()
	line := func(key, format string, args ...any) { t.row(key+":", fmt.Sprintf(format, args...)) }
	line("name", "%s", orDash(s.Name))
	line("id", "%d", s.ID)
	kind := s.Kind
	if len(s.Flags) > 0 {
		kind += " (" + strings.Join(s.Flags, ", ") + ")"
	}
	line("kind", "%s", kind)
	if code, err := ctypes.Parse(s.Code); err == nil {
		line("type", "%s (%s, %s)", s.Code, code.CName(), plural(uint64(s.ItemSize), "byte"))
	}
	if s.Kind == wire.KindArray {
		line("shape", "%s (%s)", shapeText(s.Shape), plural(s.Length, "element"))
	}
	line("state", "%s", stateText(s))
	line("access", "mode %s, uid %d, gid %d", modeText(s.Mode), s.UID, s.GID)
	line("lifetime", "%s", s.Lifetime)
	line("created", "%s", timeText(s.CreatedNS))
	line("size", "%s", plural(s.SegmentSize, "byte"))
	if s.Code != "" {
		line("version", "%d", s.Version)
		line("lock", "%s", lockText(&s.Info))
	}
	if s.Kind == wire.KindQueue {
		line("content", "%s, messages of at most %s, slots of %d", s.Content, plural(uint64(s.MessageMax), "byte"),
			s.SlotSize)
	}
	l.show(line, s)
	switch {
	case s.Kind == wire.KindEvent:
		line("set", "%s", map[bool]string{true: "yes", false: "no"}[s.Set])
	case s.Kind == wire.KindCondition:
		line("mutex", "%s", lockText(&s.Info))
	case s.Kind == wire.KindBarrier:
		line("deaths", "%s", deathsText(s))
	case s.Kind == wire.KindRWLock:
		line("writing", "%s", heldText(s))
		line("reading", "%s", plural(uint64(s.Readers), "thread"))
		line("deaths", "%s", deathsText(s))
	case s.Kind == wire.KindStream, s.Kind == wire.KindPipe:
		line("carries", "%s", ringText(s))
		showRings(line, s)
		line("deaths", "%s", deathsText(s))
	case s.Kind == wire.KindMutex, s.Code != "" && s.Lock != wire.LockNone:
		line("held", "%s", heldText(s))
		line("deaths", "%s", deathsText(s))
	}
	if s.Busy != nil {
		line("in an operation", "process %d (uid %d, seat %d); if it stays, it is stopped",
			s.Busy.PID, s.Busy.UID, s.Busy.Seat)
	}
	line("waiting", "%s", plural(s.Waiters, "thread"))
	line("seats", "%d of %d taken, %s", len(s.Seats), s.SeatsMax, plural(s.Handles, "handle"))
	if err := t.flush(); err != nil {
		return err
	}
	if len(s.Seats) == 0 {
		return nil
	}
	if err := a.printf("\n"); err != nil {
		return err
	}
	t = a.newTable("SEAT", "PID", "UID", "CLIENT", "STATE")
	for _, seat := range s.Seats {
		t.row(decimal(seat.Seat), decimal(seat.PID), decimal(seat.UID), decimal(seat.Client), seatText(&seat))
	}
	return t.flush()
}

// stateText is the object's state with all that is wrong with it.
func stateText(s *wire.Stat) string {
	words := []string{s.State}
	if !s.Linked {
		words = append(words, "has no name any more")
	}
	if s.Inconsistent {
		words = append(words, "inconsistent: an owner died and nobody marked it consistent")
	}
	if s.Dirty {
		words = append(words, "dirty: a writer died, the data may be half written")
	}
	return strings.Join(words, "; ")
}

func heldText(s *wire.Stat) string {
	if s.Held == nil {
		return "by nobody"
	}
	return fmt.Sprintf("by process %d (uid %d, seat %d), depth %d", s.Held.PID, s.Held.UID, s.Held.Seat, s.Held.Depth)
}

func deathsText(s *wire.Stat) string {
	if s.LastDeath == nil {
		return decimal(s.Deaths)
	}
	return fmt.Sprintf("%d, the last of process %d (uid %d) at %s", s.Deaths, s.LastDeath.PID, s.LastDeath.UID,
		timeText(s.LastDeath.DiedNS))
}

func seatText(seat *wire.Seat) string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{{seat.Waiting, "waiting"}, {seat.Mapped, "mapped"}, {seat.Zombie, "zombie"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	if seat.Holds > 0 {
		words = append(words, fmt.Sprintf("holds %d", seat.Holds))
	}
	return orDash(strings.Join(words, ","))
}
