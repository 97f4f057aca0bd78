package main

import (
	"context"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// openObject is an object that a command has open.
type openObject struct {
	client *shmd.Client
	info   wire.Attachment
	name   string // as it was given
}

// withObject opens an object, runs f and closes everything.
func (a *app) withObject(cmd *cobra.Command, name, access string,
	f func(ctx context.Context, o *openObject) error) error {
	ref, err := parseRef(name)
	if err != nil {
		return err
	}
	return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
		o := &openObject{client: c, name: name}
		if err := c.Call(ctx, wire.MethodOpen, &o.info, ref, wire.OpenOptions{Access: &access}); err != nil {
			return on(name, err)
		}
		return on(name, f(ctx, o)) // the handle goes with the connection
	})
}

// withKind is withObject for objects of one kind, to read and write.
func (a *app) withKind(cmd *cobra.Command, kind, name string,
	f func(ctx context.Context, o *openObject) error) error {
	return a.withObject(cmd, name, wire.AccessReadWrite, func(ctx context.Context, o *openObject) error {
		if o.info.Kind != kind {
			return status.New(status.KindMismatch, cmd.Name(), "its kind is %s: want a %s", o.info.Kind, kind)
		}
		return f(ctx, o)
	})
}

// call is a call on the object's handle.
func (o *openObject) call(ctx context.Context, method string, result any, params ...any) error {
	return o.client.Call(ctx, method, result, append([]any{o.info.Handle}, params...)...)
}

// head is how --json begins for what is done with an object.
func (o *openObject) head() document {
	return document{{"name", o.info.Name}, {"id", o.info.ID}, {"kind", o.info.Kind}}
}

// completeKind is completeName for commands that want objects of one kind.
func (a *app) completeKind(kind string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return a.completeWhere(cmd, prefix, func(o *shmd.Info) bool { return o.Kind == kind })
	}
}
