// Command opener opens a value and prints what is in it, or why it cannot: the twin in
// Go of ../c/opener.c. Usage: opener SOCKET NAME
package main

import (
	"context"
	"fmt"
	"os"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: opener SOCKET NAME")
		os.Exit(2)
	}
	is, err := open(context.Background(), os.Args[1], os.Args[2])
	if err != nil {
		fmt.Printf("%s: %v\n", status.Of(err).Name(), err)
		os.Exit(1)
	}
	fmt.Println(is)
}

func open(ctx context.Context, socket, name string) (is int64, err error) {
	client, err := shmd.Dial(ctx, shmd.Options{Socket: socket})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	value, err := shmd.OpenValue[int64](ctx, client, name)
	if err != nil {
		return 0, err
	}
	return value.Load()
}
