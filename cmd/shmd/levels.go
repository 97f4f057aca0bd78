package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// levels are how full a semaphore, a queue or a barrier is; nil is what does not apply,
// or could not be found out.
type levels struct {
	permits *wire.Permits
	counts  *wire.Counts
	barrier *wire.Barrier
}

// levels looks at the permits, the messages or the parties. That takes a handle, and so permission
// and a seat: without them the rest of stat is still worth showing.
func (a *app) levels(ctx context.Context, c *shmd.Client, s *wire.Stat) (l levels) {
	var err error
	switch s.Kind {
	case wire.KindSemaphore:
		var p wire.Permits
		if err = look(ctx, c, s.ID, wire.MethodPermits, &p); err == nil {
			l.permits = &p
		}
	case wire.KindQueue:
		var n wire.Counts
		if err = look(ctx, c, s.ID, wire.MethodCounts, &n); err == nil {
			l.counts = &n
		}
	case wire.KindBarrier:
		var b wire.Barrier
		if err = look(ctx, c, s.ID, wire.MethodBarrier, &b); err == nil {
			l.barrier = &b
		}
	}
	if err != nil {
		a.warn("%v", on(nameText(&s.Info), err))
	}
	return l
}

func look(ctx context.Context, c *shmd.Client, id uint64, method string, result any) error {
	access := wire.AccessRead
	var open wire.Attachment
	if err := c.Call(ctx, wire.MethodOpen, &open, id, wire.OpenOptions{Access: &access}); err != nil {
		return err
	}
	return c.Call(ctx, method, result, open.Handle)
}

// document is what --json adds; nothing is held by the client that looks.
func (l levels) document() document {
	switch {
	case l.permits != nil:
		p := l.permits
		return document{{"permits", document{{"available", p.Available}, {"total", p.Total}, {"maximum", p.Maximum}}}}
	case l.counts != nil:
		return document{{"counts", documentOf(*l.counts)}}
	case l.barrier != nil:
		return document{{"barrier", documentOf(*l.barrier)}}
	}
	return nil
}

// show writes the lines of stat.
func (l levels) show(line func(key, format string, args ...any), s *wire.Stat) {
	if p := l.permits; p != nil {
		text := fmt.Sprintf("%d available", p.Available)
		if p.Total > 0 { // with undo: without, nobody holds any
			text += fmt.Sprintf(", %d held, %d in all", int64(p.Total)-int64(p.Available), p.Total)
		}
		line("permits", "%s, at most %d", text, p.Maximum)
	}
	if n := l.counts; n != nil {
		text := fmt.Sprintf("%d ready, %d leased, %d being written, %s", n.Ready, n.Leased, n.Writing,
			plural(uint64(n.Dead), "dead letter"))
		line("messages", "%s; %d of %d slots free", text, n.Free, n.MaxSize)
		var words []string
		if s.DeliveriesMax > 0 {
			words = append(words, "a message is delivered at most "+plural(uint64(s.DeliveriesMax), "time"))
		}
		if s.LeaseNS > 0 {
			words = append(words, fmt.Sprintf("a lease ends after %v", time.Duration(s.LeaseNS)))
		}
		if n.Shutdown {
			words = append(words, "shut down: no more messages go in")
		}
		if len(words) > 0 {
			line("limits", "%s", strings.Join(words, "; "))
		}
	}
	if b := l.barrier; b != nil {
		line("arrived", "%d of %d, in round %d", b.Waiting, b.Parties, b.Generation)
		switch {
		case b.Broken:
			line("broken", "by %s; shmd reset makes it whole", strings.Join(b.Reasons, ", "))
		case b.Acting:
			line("acting", "all have arrived, and wait for the action of the last")
		}
	}
}
