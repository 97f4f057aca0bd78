// Ten squares that every process of this user can see. Run it twice.
package main

import (
	"context"
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
	squares, err := shmd.OpenOrCreateArray[int32](ctx, client, "example/squares", shmd.ArrayOptions{Length: 10})
	if err != nil {
		return err
	}
	defer squares.Close()

	died, err := squares.Lock(ctx)
	if err != nil {
		return err
	}
	items := make([]int32, squares.Len())
	for i := range items {
		items[i] = int32(i * i)
	}
	if _, err := squares.Write(ctx, 0, items); err != nil {
		return err
	}
	if died != nil { // its last owner, perhaps half way through; now all is written
		if err := squares.MarkConsistent(); err != nil {
			return err
		}
	}
	if err := squares.Unlock(); err != nil {
		return err
	}
	fmt.Println(squares.View()) // the memory itself
	return nil
}
