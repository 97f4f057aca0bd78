package main

import (
	"context"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
)

// The names of what is shared; the workers in C and Python spell them too.
const (
	nameClaims   = "demo/claims"
	nameResults  = "demo/results"
	nameWorkers  = "demo/workers"
	nameProgress = "demo/progress"
)

// A claim is 0 while its file is free, then the number of the worker that has
// it, and in the end that number with claimDone.
const (
	claimFree uint32 = 0
	claimDone uint32 = 1 << 31
)

// counts is what is measured: a file's row in the results.
type counts struct {
	Bytes uint64 `json:"bytes"`
	Lines uint64 `json:"lines"`
	Words uint64 `json:"words"`
}

func (c *counts) add(other counts) {
	c.Bytes += other.Bytes
	c.Lines += other.Lines
	c.Words += other.Words
}

// String is for people.
func (c counts) String() string {
	return fmt.Sprintf("%d bytes, %d lines, %d words", c.Bytes, c.Lines, c.Words)
}

// columns is how many numbers counts has.
const columns = 3

// board is the shared memory of a run.
type board struct {
	claims   *shmd.Array[uint32] // one claim for each file
	results  *shmd.Array[uint64] // one row of counts for each file
	workers  *shmd.Array[uint32] // process ids by worker number, as the daemon sees them; 0 is nobody
	progress *shmd.Value[uint64] // claims that are done; its lock guards it together with their done bits
}

// createBoard makes the board for a number of files and workers.
func createBoard(ctx context.Context, c *shmd.Client, files, workers int) (b board, err error) {
	// What is only touched by atomic operations on one element needs no lock.
	free := shmd.DataOptions{NoLock: true}
	b.claims, err = shmd.CreateArray[uint32](ctx, c, nameClaims, shmd.ArrayOptions{
		DataOptions: free, Length: uint64(files)})
	if err != nil {
		return b, err
	}
	b.results, err = shmd.CreateArray[uint64](ctx, c, nameResults, shmd.ArrayOptions{
		DataOptions: free, Shape: []uint64{uint64(files), columns}})
	if err != nil {
		return b, err
	}
	b.workers, err = shmd.CreateArray[uint32](ctx, c, nameWorkers, shmd.ArrayOptions{
		DataOptions: free, Length: uint64(workers) + 1})
	if err != nil {
		return b, err
	}
	b.progress, err = shmd.CreateValue[uint64](ctx, c, nameProgress, 0, shmd.ValueOptions{})
	return b, err
}

// openBoard opens what createBoard made.
func openBoard(ctx context.Context, c *shmd.Client) (b board, err error) {
	if b.claims, err = shmd.OpenArray[uint32](ctx, c, nameClaims); err != nil {
		return b, err
	}
	if b.results, err = shmd.OpenArray[uint64](ctx, c, nameResults); err != nil {
		return b, err
	}
	if b.workers, err = shmd.OpenArray[uint32](ctx, c, nameWorkers); err != nil {
		return b, err
	}
	b.progress, err = shmd.OpenValue[uint64](ctx, c, nameProgress)
	return b, err
}

// rows reads the results, by file.
func (b *board) rows(ctx context.Context) ([]counts, error) {
	numbers := make([]uint64, b.results.Len())
	if _, _, err := b.results.Read(ctx, 0, numbers); err != nil {
		return nil, err
	}
	rows := make([]counts, len(numbers)/columns)
	for i := range rows {
		rows[i] = counts{Bytes: numbers[i*columns], Lines: numbers[i*columns+1], Words: numbers[i*columns+2]}
	}
	return rows, nil
}
