package interop

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// goLatched is an open semaphore or queue; the other is nil.
type goLatched struct {
	semaphore   *shmd.Semaphore
	queue       *shmd.Queue
	leases      map[string]*shmd.Lease // by number
	reservation *shmd.Reservation
}

// hexText and hexBytes are how messages are written on a line.
func hexText(message []byte) string {
	if len(message) == 0 {
		return "-"
	}
	return hex.EncodeToString(message)
}

func hexBytes(text string) ([]byte, error) {
	if text == "-" {
		return nil, nil
	}
	return hex.DecodeString(text)
}

// numbers reads words that are counts.
func numbers(words []string) ([]uint32, error) {
	var all []uint32
	for _, word := range words {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return nil, err
		}
		all = append(all, uint32(n))
	}
	return append(all, 0, 0, 0, 0), nil
}

func (d *goDriver) createLatched(ctx context.Context, slot, kind, name, flags string, words []string) error {
	n, err := numbers(words)
	if err != nil {
		return err
	}
	if kind == wire.KindSemaphore {
		s, err := shmd.CreateSemaphore(ctx, d.client, name, n[0], shmd.SemaphoreOptions{
			Maximum: n[1], Undo: flags == "undo",
		})
		return d.keepLatched(slot, s, &goLatched{semaphore: s}, err)
	}
	q, err := shmd.CreateQueue(ctx, d.client, name, shmd.QueueOptions{
		MaxSize: n[0], SlotSize: n[1], DeliveriesMax: n[2], MessageMax: n[3], LeaseTime: time.Duration(n[4]),
		Raw: flags == "raw",
	})
	return d.keepLatched(slot, q, &goLatched{queue: q, leases: make(map[string]*shmd.Lease)}, err)
}

func (d *goDriver) openLatched(ctx context.Context, slot, kind, name string) error {
	if kind == wire.KindSemaphore {
		s, err := shmd.OpenSemaphore(ctx, d.client, name)
		return d.keepLatched(slot, s, &goLatched{semaphore: s}, err)
	}
	q, err := shmd.OpenQueue(ctx, d.client, name)
	return d.keepLatched(slot, q, &goLatched{queue: q, leases: make(map[string]*shmd.Lease)}, err)
}

func (d *goDriver) keepLatched(slot string, closer interface{ Close() error }, l *goLatched, err error) error {
	if err == nil {
		d.slots[slot] = &goSlot{closer: closer, latched: l}
	}
	return err
}

// obey obeys a command about a semaphore or a queue.
func (l *goLatched) obey(verb string, words []string) ([]string, error) {
	if l.semaphore != nil {
		return l.count(verb, words)
	}
	switch verb {
	case "put", "putvalue", "take", "takevalue", "lease", "reserve", "putmany", "takemany", "leasemany", "join":
		ctx, cancel, ns, err := within(words[len(words)-1])
		if err != nil {
			return nil, err
		}
		defer cancel()
		return l.wait(ctx, verb, words[0], ns == 0)
	case "commit":
		message, err := hexBytes(words[0])
		if err != nil {
			return nil, err
		}
		return nil, l.reservation.Commit(copy(l.reservation.Buffer(), message))
	case "abort":
		return nil, l.reservation.Abort()
	case "ack":
		return nil, l.leases[words[0]].Ack()
	case "nack":
		return nil, l.leases[words[0]].Nack()
	case "ackmany":
		return l.endMany(words[0], l.queue.AckMany)
	case "nackmany":
		return l.endMany(words[0], l.queue.NackMany)
	case "extend":
		ns, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return nil, err
		}
		return nil, l.leases[words[0]].Extend(time.Duration(ns))
	case "takedead":
		return l.keepLease(l.queue.TakeDead())
	case "redeliver":
		n, err := l.queue.Redeliver()
		return []string{strconv.Itoa(n)}, err
	case "shutdown":
		return nil, l.queue.Shutdown()
	case "claim":
		return words[:1], l.queue.Claim(context.Background(), shmd.QueueRole(words[0]))
	case "retire":
		return nil, l.queue.Retire(context.Background(), shmd.QueueRole(words[0]))
	case "counts":
		n, err := l.queue.Counts()
		return strings.Fields(fmt.Sprint(n.Ready, n.Leased, n.Writing, n.Free, n.Dead, n.Closed)), err
	}
	return nil, fmt.Errorf("%w: %s of a queue", errCommand, verb)
}

// wait obeys what may wait; try does not.
func (l *goLatched) wait(ctx context.Context, verb, text string, try bool) (answer []string, err error) {
	var message []byte
	switch verb {
	case "put", "putvalue":
		if message, err = hexBytes(text); err != nil {
			return nil, err
		}
		if verb == "putvalue" {
			var v any
			if err := wire.Decode(message, &v); err != nil {
				return nil, err
			}
			return nil, l.queue.PutValue(ctx, v)
		}
		if try {
			return nil, l.queue.TryPut(message)
		}
		return nil, l.queue.Put(ctx, message)
	case "takevalue":
		var v any
		if err := l.queue.TakeValue(ctx, &v); err != nil {
			return nil, err
		}
		message, err = wire.Encode(v)
		return []string{hexText(message)}, err
	case "take":
		if try {
			message, err = l.queue.TryTake()
		} else {
			message, err = l.queue.Take(ctx)
		}
		return []string{hexText(message)}, err
	case "putmany":
		var messages [][]byte
		for one := range strings.SplitSeq(text, ",") {
			if message, err = hexBytes(one); err != nil {
				return nil, err
			}
			messages = append(messages, message)
		}
		n := 0
		if try {
			n, err = l.queue.TryPutMany(messages)
		} else {
			n, err = l.queue.PutMany(ctx, messages)
		}
		return []string{strconv.Itoa(n)}, err
	case "takemany":
		most, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		var messages [][]byte
		if try {
			messages, err = l.queue.TryTakeMany(nil, most)
		} else {
			messages, err = l.queue.TakeMany(ctx, nil, most)
		}
		texts := make([]string, 0, most)
		for _, m := range messages {
			texts = append(texts, hexText(m))
		}
		return []string{strings.Join(texts, ",")}, err
	case "leasemany":
		most, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		var leases []*shmd.Lease
		if try {
			leases, err = l.queue.TryLeaseMany(nil, most)
		} else {
			leases, err = l.queue.LeaseMany(ctx, nil, most)
		}
		for _, lease := range leases {
			words, _ := l.keepLease(lease, nil)
			answer = append(answer, words...)
		}
		return answer, err
	case "join":
		if try {
			return nil, l.queue.TryJoin()
		}
		return nil, l.queue.Join(ctx)
	case "lease":
		if try {
			return l.keepLease(l.queue.TryLease())
		}
		return l.keepLease(l.queue.Lease(ctx))
	}
	size, err := strconv.Atoi(text)
	switch {
	case err != nil:
	case try:
		l.reservation, err = l.queue.TryReserveSize(size)
	default:
		l.reservation, err = l.queue.ReserveSize(ctx, size)
	}
	return nil, err
}

func (l *goLatched) keepLease(lease *shmd.Lease, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	number := strconv.FormatUint(lease.Seq(), 10)
	l.leases[number] = lease
	return []string{number, strconv.Itoa(lease.Deliveries()), hexText(lease.Message())}, nil
}

// endMany ends leases, named by their numbers.
func (l *goLatched) endMany(text string, end func([]*shmd.Lease) (int, error)) ([]string, error) {
	var leases []*shmd.Lease
	for number := range strings.SplitSeq(text, ",") {
		leases = append(leases, l.leases[number])
	}
	n, err := end(leases)
	if errors.Is(err, shmd.ErrNotOwner) {
		return []string{strconv.Itoa(n), "NOT_OWNER"}, nil
	}
	return []string{strconv.Itoa(n)}, err
}

// count obeys a command about a semaphore.
func (l *goLatched) count(verb string, words []string) ([]string, error) {
	if verb == "permits" {
		p, err := l.semaphore.Permits()
		return strings.Fields(fmt.Sprint(p.Available, p.Total, p.Held)), err
	}
	n, err := numbers(words[:1])
	if err != nil {
		return nil, err
	}
	switch verb {
	case "release":
		return nil, l.semaphore.Release(n[0])
	case "post":
		return nil, l.semaphore.Post(n[0])
	case "acquire":
		ctx, cancel, ns, err := within(words[1])
		if err != nil {
			return nil, err
		}
		defer cancel()
		if ns == 0 {
			return nil, l.semaphore.TryAcquire(n[0])
		}
		return nil, l.semaphore.Acquire(ctx, n[0])
	}
	return nil, fmt.Errorf("%w: %s of a semaphore", errCommand, verb)
}
