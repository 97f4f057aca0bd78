package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// operation does what a line says; a are its numbers.
type operation func(p *player, a []int64) (result, error)

// plain makes an operation of what tells nothing.
func plain(do func(p *player, a []int64) error) operation {
	return func(p *player, a []int64) (result, error) { return result{}, do(p, a) }
}

var operations = map[string]operation{
	"mutex lock":   func(p *player, a []int64) (result, error) { return locks(a[0], p.owner.TryLock, p.owner.Lock) },
	"mutex unlock": plain(func(p *player, _ []int64) error { return p.owner.Unlock() }),
	"mutex mark":   plain(func(p *player, _ []int64) error { return p.owner.MarkConsistent() }),

	"value store": plain(func(p *player, a []int64) error { return p.value.Store(a[0]) }),
	"value add": plain(func(p *player, a []int64) error {
		_, err := p.value.Add(a[0])
		return err
	}),
	"value load": func(p *player, _ []int64) (result, error) {
		x, err := p.value.Load()
		return result{numbers: []int64{x}}, err
	},
	"value version": plain(func(p *player, _ []int64) error {
		p.version = p.value.Version()
		return nil
	}),
	"value wait": plain(func(p *player, a []int64) error { return p.change(p.value.WaitChange, a[0]) }),

	"array lock":   func(p *player, a []int64) (result, error) { return locks(a[0], p.array.TryLock, p.array.Lock) },
	"array unlock": plain(func(p *player, _ []int64) error { return p.array.Unlock() }),
	"array mark":   plain(func(p *player, _ []int64) error { return p.array.MarkConsistent() }),
	"array store":  plain(func(p *player, a []int64) error { return p.array.Store(0, a[0]) }),
	"array add": plain(func(p *player, a []int64) error {
		_, err := p.array.Add(0, a[0])
		return err
	}),
	"array write": plain(func(p *player, a []int64) error {
		ctx, cancel := within(a[1])
		defer cancel()
		_, err := p.array.Write(ctx, 0, []int64{a[0], a[0], a[0], a[0]})
		return err
	}),
	"array begin": plain(func(p *player, _ []int64) error { return p.array.BeginWrite() }),
	"array end":   plain(func(p *player, _ []int64) error { return p.array.EndWrite() }),
	"array read": func(p *player, a []int64) (result, error) {
		ctx, cancel := within(a[0])
		defer cancel()
		items := make([]int64, 4)
		_, dirty, err := p.array.Read(ctx, 0, items)
		if err != nil {
			return result{}, err
		}
		return result{dirty, items}, nil
	},
	"array version": plain(func(p *player, _ []int64) error {
		p.version = p.array.Version()
		return nil
	}),
	"array wait": plain(func(p *player, a []int64) error { return p.change(p.array.WaitChange, a[0]) }),

	"semaphore acquire": plain(func(p *player, a []int64) error {
		n := uint32(a[0])
		return waits(a[1], func() error { return p.semaphore.TryAcquire(n) },
			func(ctx context.Context) error { return p.semaphore.Acquire(ctx, n) })
	}),
	"semaphore release": plain(func(p *player, a []int64) error { return p.semaphore.Release(uint32(a[0])) }),
	"semaphore post":    plain(func(p *player, a []int64) error { return p.semaphore.Post(uint32(a[0])) }),

	"queue make": plain(func(p *player, a []int64) error {
		p.message = makeMessage(a[0], int(a[1]))
		return nil
	}),
	"queue put": plain(func(p *player, a []int64) error {
		return waits(a[0], func() error { return p.queue.TryPut(p.message) },
			func(ctx context.Context) error { return p.queue.Put(ctx, p.message) })
	}),
	"queue take": func(p *player, a []int64) (result, error) {
		var message []byte
		err := waits(a[0], func() (err error) {
			message, err = p.queue.TryTake()
			return err
		}, func(ctx context.Context) (err error) {
			message, err = p.queue.Take(ctx)
			return err
		})
		if err != nil {
			return result{}, err
		}
		return numberOf(message)
	},
	"queue lease": func(p *player, a []int64) (r result, err error) {
		err = waits(a[0], func() (err error) {
			p.lease, err = p.queue.TryLease()
			return err
		}, func(ctx context.Context) (err error) {
			p.lease, err = p.queue.Lease(ctx)
			return err
		})
		if err == nil {
			r, err = numberOf(p.lease.Message())
			r.numbers = append(r.numbers, int64(p.lease.Deliveries()))
		}
		return r, err
	},
	"queue put_many": plain(func(p *player, a []int64) error {
		both := bothMessages(p)
		return waits(a[0], func() error { _, err := p.queue.TryPutMany(both); return err },
			func(ctx context.Context) error { _, err := p.queue.PutMany(ctx, both); return err })
	}),
	"queue take_many": func(p *player, a []int64) (r result, err error) {
		var taken [][]byte
		err = waits(a[0], func() (err error) {
			taken, err = p.queue.TryTakeMany(nil, 2)
			return err
		}, func(ctx context.Context) (err error) {
			taken, err = p.queue.TakeMany(ctx, nil, 2)
			return err
		})
		return numbersOf(taken, err)
	},
	"queue lease_many": func(p *player, a []int64) (r result, err error) {
		err = waits(a[0], func() (err error) {
			p.leases, err = p.queue.TryLeaseMany(nil, 2)
			return err
		}, func(ctx context.Context) (err error) {
			p.leases, err = p.queue.LeaseMany(ctx, nil, 2)
			return err
		})
		var leased [][]byte
		for _, l := range p.leases {
			leased = append(leased, l.Message())
		}
		return numbersOf(leased, err)
	},
	"queue ack_many":  plain(func(p *player, _ []int64) error { _, err := p.queue.AckMany(p.leases); return err }),
	"queue nack_many": plain(func(p *player, _ []int64) error { _, err := p.queue.NackMany(p.leases); return err }),
	"queue extend":    plain(func(p *player, _ []int64) error { return p.lease.Extend(time.Hour) }),
	"queue join":      plain(func(p *player, a []int64) error { return waits(a[0], p.queue.TryJoin, p.queue.Join) }),
	"queue redeliver": plain(func(p *player, _ []int64) error { _, err := p.queue.Redeliver(); return err }),
	"queue shutdown":  plain(func(p *player, _ []int64) error { return p.queue.Shutdown() }),
	"queue take_dead": func(p *player, _ []int64) (r result, err error) {
		if p.lease, err = p.queue.TakeDead(); err == nil {
			r, err = numberOf(p.lease.Message())
			r.numbers = append(r.numbers, int64(p.lease.Deliveries()))
		}
		return r, err
	},
	"queue ack":  plain(func(p *player, _ []int64) error { return p.lease.Ack() }),
	"queue nack": plain(func(p *player, _ []int64) error { return p.lease.Nack() }),
	"queue reserve": plain(func(p *player, a []int64) (err error) {
		ctx, cancel := within(a[0])
		defer cancel()
		p.reservation, err = p.queue.Reserve(ctx)
		return err
	}),
	"queue fill": plain(func(p *player, _ []int64) error {
		copy(p.reservation.Buffer(), p.message)
		return nil
	}),
	"queue commit": plain(func(p *player, _ []int64) error { return p.reservation.Commit(len(p.message)) }),
	"queue abort":  plain(func(p *player, _ []int64) error { return p.reservation.Abort() }),
}

// change waits for a change since the last version.
func (p *player) change(wait func(context.Context, uint64) (uint64, error), ns int64) error {
	ctx, cancel := within(ns)
	defer cancel()
	now, err := wait(ctx, p.version)
	if err == nil {
		p.version = now
	}
	return err
}

// makeMessage is a number, in as many bytes as wanted, 8 at least.
func makeMessage(number int64, size int) []byte {
	message := make([]byte, size)
	binary.LittleEndian.PutUint64(message, uint64(number))
	for i := 8; i < size; i++ {
		message[i] = byte(number + int64(i))
	}
	return message
}

// bothMessages are the message and the next one, to be sent both.
func bothMessages(p *player) [][]byte {
	return [][]byte{p.message, makeMessage(int64(binary.LittleEndian.Uint64(p.message))+1, len(p.message))}
}

func numberOf(message []byte) (result, error) {
	if len(message) < 8 {
		return result{}, fmt.Errorf("a message of %d bytes", len(message))
	}
	number := int64(binary.LittleEndian.Uint64(message))
	for i := 8; i < len(message); i++ {
		if message[i] != byte(number+int64(i)) {
			return result{}, fmt.Errorf("byte %d of message %d is %d", i, number, message[i])
		}
	}
	return result{numbers: []int64{number}}, nil
}

// numbersOf are those of messages that came without an error.
func numbersOf(messages [][]byte, err error) (all result, _ error) {
	for _, m := range messages {
		r, wrong := numberOf(m)
		if err == nil {
			err = wrong
		}
		all.numbers = append(all.numbers, r.numbers...)
	}
	return all, err
}
