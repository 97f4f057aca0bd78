package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/shmd/shmd/wire"
)

// work runs a command for a message, or with follow for one after the other.
func (t *taker) work(ctx context.Context, words []string, follow bool) error {
	h := &holding{app: t.app, object: t.object, verb: "take", what: "the lease"}
	for {
		m, err := t.lease(ctx)
		if err != nil {
			if follow {
				err = unlessEnded(err)
			}
			return err
		}
		ran, err := t.runFor(h, &m, words)
		if err != nil {
			return errors.Join(err, h.giveBack(ctx, wire.MethodNack, m.Lease))
		}
		method := wire.MethodAck
		if ran.code != 0 {
			method = wire.MethodNack
		}
		failed := h.end(ran, h.giveBack(ctx, method, m.Lease))
		if !follow || ran.ended {
			return failed
		}
		if failed != nil {
			t.app.warn("take %q: delivery %d of a message: the command's exit status is %d; the message goes back",
				t.object.name, m.Deliveries, ran.code)
		}
	}
}

// runFor runs the command for one message.
func (t *taker) runFor(h *holding, m *wire.Lease, words []string) (ran commandResult, err error) {
	text, err := t.text(m)
	if err != nil {
		return ran, err
	}
	if t.object.info.Content != wire.ContentRaw {
		text = append(text, '\n')
	}
	command, err := t.app.command(words)
	if err != nil {
		return ran, err
	}
	stdin, err := messageFile(text)
	if err != nil {
		return ran, err
	}
	command.Stdin = stdin
	command.Env = append(command.Env, fmt.Sprintf("%s=%d", deliveriesVariable, m.Deliveries))
	ran, err = h.runCommand(command)
	return ran, errors.Join(err, stdin.Close())
}
