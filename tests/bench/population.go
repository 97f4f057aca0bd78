package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// population is a daemon with many objects, which as many clients hold open that have
// mapped nothing.
type population struct {
	*service
	objects int
	clients []*shmd.Client
}

// populate makes the objects in equal shares. Connections take descriptors from objects, so
// that no more of them are allowed than there are.
func populate(ctx context.Context, objects, clients int, flags ...string) (_ *population, err error) {
	s, err := startService(ctx, append([]string{"--quota-connections", strconv.Itoa(clients + 50)}, flags...)...)
	if err != nil {
		return nil, err
	}
	p := &population{service: s, objects: objects}
	for i := range clients {
		c, err := s.dial(ctx)
		if err != nil {
			return nil, errors.Join(err, p.stop())
		}
		p.clients = append(p.clients, c)
		for j := i; j < objects; j += clients {
			if err := createScalar(ctx, c, fmt.Sprintf("many/%d", j)); err != nil {
				return nil, errors.Join(err, p.stop())
			}
		}
	}
	return p, nil
}

func createScalar(ctx context.Context, c *shmd.Client, name string) error {
	code := "q"
	return c.Call(ctx, wire.MethodCreate, nil, name, wire.KindValue, wire.CreateOptions{Code: &code})
}

func (p *population) stop() error {
	var errs []error
	for _, c := range p.clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, p.service.stop())...)
}
