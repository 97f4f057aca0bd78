package main

import (
	"bytes"
	"context"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// Streams and pipes.

// sends and receives are what a producer or a pipe's end does.
type sends interface {
	Send(ctx context.Context, msg []byte) error
	TrySend(msg []byte) error
	SendMany(ctx context.Context, msgs [][]byte) (int, error)
	TrySendMany(msgs [][]byte) (int, error)
	Reserve(ctx context.Context, size int) ([]byte, error)
	TryReserve(size int) ([]byte, error)
	Commit(n int) error
	Abort() error
}

type receives interface {
	Recv(ctx context.Context) ([]byte, error)
	TryRecv() ([]byte, error)
	PeekMany(ctx context.Context, most int) ([][]byte, error)
	TryPeekMany(most int) ([][]byte, error)
	Advance(n int) error
}

func init() {
	background := context.Background()
	for words, do := range map[string]operation{
		"stream produce": plain(func(p *player, _ []int64) (err error) {
			p.producer, err = p.stream.Producer(background)
			return err
		}),
		"stream consume": plain(func(p *player, _ []int64) (err error) {
			p.consumer, err = p.stream.Consumer(background)
			return err
		}),
		"stream retire": plain(func(p *player, _ []int64) error {
			if p.producer == nil {
				return status.NotOwner
			}
			return p.producer.Close()
		}),
		"stream leave": plain(func(p *player, _ []int64) error {
			if p.consumer == nil {
				return status.NotOwner
			}
			return p.consumer.Close()
		}),
		"pipe claim": plain(func(p *player, a []int64) (err error) {
			p.end, err = p.pipe.End(background, shmd.End(a[0]))
			return err
		}),
		"pipe shut":  plain(func(p *player, _ []int64) error { return p.end.Close() }),
		"pipe bytes": plain(func(p *player, a []int64) error { p.message = flow(p.writeAt, int(a[0])); return nil }),
		"pipe write": writeBytes,
		"pipe read":  readBytes,
	} {
		operations[words] = do
	}
	sender := map[string]func(p *player) sends{
		"stream": func(p *player) sends { return p.producer },
		"pipe":   func(p *player) sends { return p.end },
	}
	receiver := map[string]func(p *player) receives{
		"stream": func(p *player) receives { return p.consumer },
		"pipe":   func(p *player) receives { return p.end },
	}
	for kind, to := range sender {
		operations[kind+" make"] = operations["queue make"]
		operations[kind+" send"] = func(p *player, a []int64) (result, error) { return send(p, to(p), a[0]) }
		operations[kind+" send_many"] = func(p *player, a []int64) (result, error) { return sendMany(p, to(p), a[0]) }
		operations[kind+" reserve"] = func(p *player, a []int64) (result, error) { return reserve(p, to(p), a[0]) }
		operations[kind+" fill"] = plain(func(p *player, _ []int64) error { copy(p.room, p.message); return nil })
		operations[kind+" commit"] = plain(func(p *player, _ []int64) error { return to(p).Commit(len(p.message)) })
		operations[kind+" abort"] = plain(func(p *player, _ []int64) error { return to(p).Abort() })
	}
	for kind, from := range receiver {
		operations[kind+" recv"] = func(p *player, a []int64) (result, error) { return receive(from(p), a[0]) }
		operations[kind+" peek_many"] = func(p *player, a []int64) (result, error) { return peekMany(p, from(p), a[0]) }
		operations[kind+" advance"] = plain(func(p *player, _ []int64) error { return from(p).Advance(p.peeked) })
	}
}

func send(p *player, to sends, ns int64) (result, error) {
	return result{}, waits(ns, func() error { return to.TrySend(p.message) },
		func(ctx context.Context) error { return to.Send(ctx, p.message) })
}

func sendMany(p *player, to sends, ns int64) (result, error) {
	both := bothMessages(p)
	return result{}, waits(ns, func() error { _, err := to.TrySendMany(both); return err },
		func(ctx context.Context) error { _, err := to.SendMany(ctx, both); return err })
}

func reserve(p *player, in sends, ns int64) (result, error) {
	size := len(p.message)
	return result{}, waits(ns, func() (err error) {
		p.room, err = in.TryReserve(size)
		return err
	}, func(ctx context.Context) (err error) {
		p.room, err = in.Reserve(ctx, size)
		return err
	})
}

func receive(from receives, ns int64) (result, error) {
	var message []byte
	err := waits(ns, func() (err error) {
		message, err = from.TryRecv()
		return err
	}, func(ctx context.Context) (err error) {
		message, err = from.Recv(ctx)
		return err
	})
	if err != nil {
		return result{}, err
	}
	return numberOf(message)
}

func peekMany(p *player, from receives, ns int64) (result, error) {
	var peeked [][]byte
	err := waits(ns, func() (err error) {
		peeked, err = from.TryPeekMany(2)
		return err
	}, func(ctx context.Context) (err error) {
		peeked, err = from.PeekMany(ctx, 2)
		return err
	})
	p.peeked = len(peeked)
	return numbersOf(peeked, err)
}

// flow is a part of the bytes that go through a pipe of bytes: each is told by its place.
func flow(at uint32, size int) []byte {
	part := make([]byte, size)
	for i := range part {
		part[i] = byte((at + uint32(i)) * 2654435761 >> 24)
	}
	return part
}

func writeBytes(p *player, a []int64) (result, error) {
	var n int
	err := waits(a[0], func() (err error) {
		n, err = p.end.TryWriteBytes(p.message)
		return err
	}, func(ctx context.Context) (err error) {
		n, err = p.end.WriteBytes(ctx, p.message)
		return err
	})
	if err != nil {
		return result{}, err
	}
	p.writeAt += uint32(n)
	return result{numbers: []int64{int64(n)}}, nil
}

func readBytes(p *player, a []int64) (result, error) {
	var n int
	buffer := make([]byte, 4096)
	err := waits(a[0], func() (err error) {
		n, err = p.end.TryReadBytes(buffer)
		return err
	}, func(ctx context.Context) (err error) {
		n, err = p.end.ReadBytes(ctx, buffer)
		return err
	})
	if err != nil {
		return result{}, err
	}
	if at := p.readAt; !bytes.Equal(buffer[:n], flow(at, n)) {
		return result{}, status.New(status.Corrupt, "", "the %d bytes from byte %d of the flow on are others", n, at)
	}
	p.readAt += uint32(n)
	return result{numbers: []int64{int64(n)}}, nil
}
