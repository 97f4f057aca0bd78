package main

import (
	"context"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// Streams and pipes.

// sends and receives are what a producer or a pipe's end does.
type sends interface {
	Send(ctx context.Context, msg []byte) error
	TrySend(msg []byte) error
}

type receives interface {
	Recv(ctx context.Context) ([]byte, error)
	TryRecv() ([]byte, error)
}

func init() {
	background := context.Background()
	for words, do := range map[string]operation{
		"stream make": operations["queue make"],
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
		"stream send": func(p *player, a []int64) (result, error) { return send(p, p.producer, a[0]) },
		"stream recv": func(p *player, a []int64) (result, error) { return receive(p.consumer, a[0]) },

		"pipe make": operations["queue make"],
		"pipe claim": plain(func(p *player, a []int64) (err error) {
			p.end, err = p.pipe.End(background, shmd.End(a[0]))
			return err
		}),
		"pipe shut": plain(func(p *player, _ []int64) error { return p.end.Close() }),
		"pipe send": func(p *player, a []int64) (result, error) { return send(p, p.end, a[0]) },
		"pipe recv": func(p *player, a []int64) (result, error) { return receive(p.end, a[0]) },
	} {
		operations[words] = do
	}
}

func send(p *player, to sends, ns int64) (result, error) {
	return result{}, waits(ns, func() error { return to.TrySend(p.message) },
		func(ctx context.Context) error { return to.Send(ctx, p.message) })
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
