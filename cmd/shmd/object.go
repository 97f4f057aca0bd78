package main

import (
	"context"
	"slices"
	"strings"

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

// withKind is withObject for objects of some kinds, to read and write.
func (a *app) withKind(cmd *cobra.Command, kinds []string, name string,
	f func(ctx context.Context, o *openObject) error) error {
	return a.withObject(cmd, name, wire.AccessReadWrite, func(ctx context.Context, o *openObject) error {
		if !slices.Contains(kinds, o.info.Kind) {
			return status.New(status.KindMismatch, cmd.Name(), "its kind is %s: want %s", o.info.Kind, oneOf(kinds))
		}
		return f(ctx, o)
	})
}

// oneOf is "an event, a queue or a value".
func oneOf(kinds []string) string {
	text := ""
	for i, kind := range kinds {
		switch {
		case i == 0:
		case i == len(kinds)-1:
			text += " or "
		default:
			text += ", "
		}
		text += one(kind)
	}
	return text
}

// one is "an event" or "a queue".
func one(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) || kind == wire.KindRWLock {
		return "an " + kind
	}
	return "a " + kind
}

// call is a call on the object's handle.
func (o *openObject) call(ctx context.Context, method string, result any, params ...any) error {
	return o.client.Call(ctx, method, result, append([]any{o.info.Handle}, params...)...)
}

// head is how --json begins for what is done with an object.
func (o *openObject) head() document {
	return document{{"name", o.info.Name}, {"id", o.info.ID}, {"kind", o.info.Kind}}
}

// completeKind is completeName for commands that want objects of some kinds.
func (a *app) completeKind(kinds ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return a.completeWhere(cmd, prefix, func(o *shmd.Info) bool { return slices.Contains(kinds, o.Kind) })
	}
}
