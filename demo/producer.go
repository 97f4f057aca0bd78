package main

import (
	"context"
	"errors"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
)

// producerNumber is where workers have theirs, from 1 on.
const producerNumber = 0

// runProducer is the subcommand "producer": LIST. It puts a message for each file
// of the list, waits until all files are done, and shuts the queue down.
//
// Not before: with its lease, a worker's message comes back when the worker dies,
// and until then somebody must be there to take it. While the queue is open they
// all are, waiting for a message. After the shutdown they would find it ended, and
// could wait for nothing that tells them of a message that comes back.
func runProducer(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: producer LIST")
	}
	paths, err := readList(args[0])
	if err != nil {
		return err
	}
	client, err := shmd.Dial(ctx, shmd.Options{Software: "demo producer (go)"})
	if err != nil {
		return err
	}
	b, err := openBoard(ctx, client)
	if err != nil {
		return err
	}
	return errors.Join(produce(ctx, &b, paths), client.Close())
}

func produce(ctx context.Context, b *board, paths []string) error {
	fmt.Println("ready")
	for file, path := range paths {
		// It waits while the queue is full.
		if err := b.queue.PutValue(ctx, message{File: file, Path: []byte(path)}); err != nil {
			return err
		}
	}
	for {
		// Before looking, so that no change after the look goes unnoticed.
		version := b.progress.Version()
		finished, err := b.finished(ctx)
		if err != nil {
			return err
		}
		if finished {
			return b.queue.Shutdown()
		}
		if _, err := b.progress.WaitChange(ctx, version); err != nil {
			return err
		}
	}
}
