// A worker in Go for the queue of examples/python/multiprocessing/go_worker.py: it takes what Python puts, and answers.
// Start as many as you like, and kill them: a job that is not acknowledged goes to another.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	shmd "github.com/shmd/shmd/clients/go"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := shmd.Dial(ctx, shmd.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	jobs, err := shmd.OpenOrCreateQueue(ctx, client, "example/jobs", shmd.QueueOptions{Raw: true})
	if err != nil {
		return err
	}
	defer jobs.Close()
	answers, err := shmd.OpenOrCreateQueue(ctx, client, "example/answers", shmd.QueueOptions{Raw: true})
	if err != nil {
		return err
	}
	defer answers.Close()

	done := 0
	for {
		job, err := jobs.Lease(ctx)
		if errors.Is(err, shmd.ErrEnded) { // Python has shut the queue down, and it is empty
			fmt.Printf("the worker has done %d jobs\n", done)
			return nil
		}
		if err != nil {
			return err
		}
		if err := answers.Put(ctx, bytes.ToUpper(job.Message())); err != nil {
			return err
		}
		if err := job.Ack(); err != nil {
			return err
		}
		done++
	}
}
