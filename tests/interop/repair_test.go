package interop

import (
	"slices"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// What somebody has scribbled over is named by a check and put right by a repair, after
// which clients in every language go on with the handles that they have.
func TestRepairAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("queue", func(t *testing.T) { p.repairedQueue(t, d) })
		t.Run("undo", func(t *testing.T) { p.repairedPermits(t, d) })
		t.Run("mutex", func(t *testing.T) { p.repairedMutex(t, d) })
		t.Run("stream", func(t *testing.T) { p.repairedStream(t, d) })
	})
}

// scribble writes over the pair's object.
func (p *pair) scribble(t *testing.T, d *harness.Daemon, offset int64, value any) {
	t.Helper()
	var stat wire.Stat
	if err := p.watcher.Call(t.Context(), wire.MethodStat, &stat, p.object); err != nil {
		t.Fatal(err)
	}
	if err := d.Segment(stat.ID).Scribble(offset, value); err != nil {
		t.Fatal(err)
	}
}

// repair repairs the pair's object, in which this word is wrong.
func (p *pair) repair(t *testing.T, word string) {
	t.Helper()
	var repair wire.Repair
	if err := p.watcher.Call(t.Context(), wire.MethodRepair, &repair, p.object); err != nil {
		t.Fatal(err)
	}
	if len(repair.Left) != 0 ||
		!slices.ContainsFunc(repair.Findings, func(f wire.Finding) bool { return f.Word == word }) {
		t.Fatalf("want %s: %+v", word, repair)
	}
	var check wire.Check
	err := p.watcher.Call(t.Context(), wire.MethodCheck, &check, p.object)
	if err != nil || len(check.Findings) != 0 || check.Unjudged != "" {
		t.Fatalf("after the repair: %+v, %v", check, err)
	}
}

func (p *pair) repairedQueue(t *testing.T, d *harness.Daemon) {
	p.latched(t, "queue", "-", "4", "64", "0")
	for _, way := range p.sides() {
		way[0].ok(t, "put", way[0].slot, "01", try)
	}
	p.scribble(t, d, 0x150, uint64(1000))
	for _, way := range p.sides() {
		way[0].fails(t, "CORRUPT", "take", way[0].slot, try)
	}
	p.repair(t, "ready_head")
	for _, way := range p.sides() {
		way[0].ok(t, "put", way[0].slot, "02", try)
	}
	for _, want := range []string{"01", "02"} {
		for _, way := range p.sides() {
			way[0].want(t, "ok "+want, "take", way[0].slot, try)
		}
	}
	p.over(t, "put", "00", try)
}

func (p *pair) repairedPermits(t *testing.T, d *harness.Daemon) {
	p.latched(t, "semaphore", "undo", "2", "3")
	p.creator.ok(t, "acquire", "x", "1", try)
	p.scribble(t, d, 0x148, uint32(77))
	for _, way := range p.sides() {
		way[0].fails(t, "CORRUPT", "acquire", way[0].slot, "1", try)
	}
	p.repair(t, "total")
	p.opener.ok(t, "acquire", "y", "1", try)
	p.opener.fails(t, "WOULD_BLOCK", "acquire", "y", "1", try)
	p.creator.ok(t, "release", "x", "1")
	p.opener.ok(t, "acquire", "y", "1", try)
	p.over(t, "acquire", "1", try)
}

func (p *pair) repairedMutex(t *testing.T, d *harness.Daemon) {
	p.latched(t, "mutex", "-")
	for _, way := range p.sides() {
		p.scribble(t, d, 0x100, shm.OwnerWord(60, 5))
		way[0].fails(t, "WOULD_BLOCK", "lock", way[0].slot, try)
		p.repair(t, "lock.word")
		way[1].want(t, "died", "lock", way[1].slot, try)
		way[1].ok(t, "unlock", way[1].slot)
	}
	p.over(t, "lock", try)
}

func (p *pair) repairedStream(t *testing.T, d *harness.Daemon) {
	p.latched(t, "stream", "-", "4096", "2000")
	from, to := p.sides()[0][0], p.sides()[0][1]
	for range 2 {
		from.want(t, "ok producer", "claim", from.slot, "producer")
		to.want(t, "ok consumer", "claim", to.slot, "consumer")
		from.ok(t, "send", from.slot, "0102", try)
		to.want(t, "ok 0102", "recv", to.slot, try)
		p.scribble(t, d, 0x140, uint64(1<<20))
		p.repair(t, "head.word")
		from.fails(t, "NOT_OWNER", "send", from.slot, "0102", try)
		to.fails(t, "NOT_OWNER", "recv", to.slot, try)
		from.ok(t, "retire", from.slot, "producer")
		to.ok(t, "retire", to.slot, "consumer")
	}
	p.over(t, "claim", "producer")
}
