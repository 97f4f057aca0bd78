package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/shmd/shmd/wire"
)

const (
	socketValue = int64(1234567)
	// socketCalls are few and the rounds many: where the scheduler puts the two
	// processes matters more than anything else, and changes from time to time.
	socketCalls  = 1_000
	socketRounds = 101
)

// createCounter makes the value that the socket is asked for. It is not mapped.
func (s *service) createCounter(ctx context.Context, name string) (handle uint64, err error) {
	code := "q"
	var a wire.Attachment
	err = s.client.Call(ctx, wire.MethodCreate, &a, name, wire.KindValue, wire.CreateOptions{Code: &code})
	if err == nil {
		err = s.client.Call(ctx, wire.MethodSet, nil, a.Handle, 0, socketValue)
	}
	return a.Handle, err
}

// get asks for the value.
func (s *service) get(ctx context.Context, handle uint64) error {
	var got int64
	err := s.client.Call(ctx, wire.MethodGet, &got, handle)
	if err == nil && got != socketValue {
		err = fmt.Errorf("the value is %d instead of %d", got, socketValue)
	}
	return err
}

// roundTrips compares one call at a time with the rival's.
func roundTrips(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		handle, err := s.createCounter(ctx, "bench/value")
		if err != nil {
			return err
		}
		server, echo, err := startEcho(ctx, filepath.Join(s.dir, "echo.sock"))
		if err != nil {
			return err
		}
		id := uint32(0)
		p, err := interleave(b.scaled(socketRounds),
			func() (float64, error) {
				return timeCalls(socketCalls, func() error { id++; return echo.call(id) })
			},
			func() (float64, error) {
				return timeCalls(socketCalls, func() error { return s.get(ctx, handle) })
			})
		if err == nil {
			w := compared("Go: get a value", "us", p, 1.5)
			w.Note = "against a Go msgpack echo of the same messages that checks nothing"
			b.report.add(w)
		}
		return errors.Join(err, echo.conn.Close(), server.Stop())
	})
}

// timeCalls is microseconds for one call.
func timeCalls(n int, call func() error) (float64, error) {
	begin := time.Now()
	for range n {
		if err := call(); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(n) / 1000, nil
}
