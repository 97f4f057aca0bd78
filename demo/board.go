package main

import (
	"context"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
)

// The names of what is shared; the workers in C, Python and shell spell them too.
const (
	nameQueue    = "demo/queue"
	nameFiles    = "demo/files"
	nameResults  = "demo/results"
	nameProgress = "demo/progress"
)

const (
	// openFiles is how many files all workers together may have open: fewer than
	// there are workers, so that some have to wait.
	openFiles = 3
	// messages is how many fit the queue: fewer than there usually are files, so
	// that the producer has to wait for the workers.
	messages = 512
	// seats are for the workers, twice because a command of the shell worker runs
	// within another, for the producer, and for the coordinator.
	seats = 2*workersMax + 2
)

// message is what the queue holds: an array of two in msgpack. A path is bytes,
// and need not be text.
type message struct {
	_msgpack struct{} `msgpack:",as_array"`
	File     int
	Path     []byte
}

// The msgpack library finds that field by its name.
var _ = message{}._msgpack

// messageOverhead bounds what a message takes beside its path: the array's head,
// the file's number, the path's head.
const messageOverhead = 1 + 9 + 5

// counts is what is measured.
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

// row is a file's row in the results.
type row struct {
	counts
	deliveries uint64 // how often its message had been delivered when it was measured
	worker     uint64 // who was the first to count it; 0 = it is not done
}

// A row in memory has these columns, and the counts in front of them.
const (
	columnDeliveries = 3
	columnWorker     = 4
	columns          = 5
)

// board is the shared memory of a run.
type board struct {
	queue    *shmd.Queue         // a message for each file that is not done
	files    *shmd.Semaphore     // with undo; a permit lets a worker have a file open
	results  *shmd.Array[uint64] // a row for each file
	progress *shmd.Value[uint64] // how many rows have a worker; its lock guards it together with their last column
}

// createBoard makes the board for the files with these paths.
func createBoard(ctx context.Context, c *shmd.Client, paths []string) (b board, err error) {
	longest := 0
	for _, path := range paths {
		longest = max(longest, len(path))
	}
	common := shmd.CommonOptions{SeatsMax: seats}
	b.queue, err = shmd.CreateQueue(ctx, c, nameQueue, shmd.QueueOptions{CommonOptions: common,
		MaxSize: messages, SlotSize: uint32(messageOverhead + longest)})
	if err != nil {
		return b, err
	}
	b.files, err = shmd.CreateSemaphore(ctx, c, nameFiles, openFiles, shmd.SemaphoreOptions{CommonOptions: common,
		Maximum: openFiles, Undo: true})
	if err != nil {
		return b, err
	}
	// Whoever has the lease is the only one at a row: it needs no lock of its own.
	b.results, err = shmd.CreateArray[uint64](ctx, c, nameResults, shmd.ArrayOptions{
		DataOptions: shmd.DataOptions{CommonOptions: common, NoLock: true},
		Shape:       []uint64{uint64(len(paths)), columns}})
	if err != nil {
		return b, err
	}
	b.progress, err = shmd.CreateValue[uint64](ctx, c, nameProgress, 0, shmd.ValueOptions{
		DataOptions: shmd.DataOptions{CommonOptions: common}})
	return b, err
}

// openBoard opens what createBoard made.
func openBoard(ctx context.Context, c *shmd.Client) (b board, err error) {
	if b.queue, err = shmd.OpenQueue(ctx, c, nameQueue); err != nil {
		return b, err
	}
	if b.files, err = shmd.OpenSemaphore(ctx, c, nameFiles); err != nil {
		return b, err
	}
	if b.results, err = shmd.OpenArray[uint64](ctx, c, nameResults); err != nil {
		return b, err
	}
	b.progress, err = shmd.OpenValue[uint64](ctx, c, nameProgress)
	return b, err
}

// rows reads the results, by file.
func (b *board) rows(ctx context.Context) ([]row, error) {
	numbers := make([]uint64, b.results.Len())
	if _, _, err := b.results.Read(ctx, 0, numbers); err != nil {
		return nil, err
	}
	rows := make([]row, len(numbers)/columns)
	for i := range rows {
		n := numbers[i*columns:]
		rows[i] = row{counts{Bytes: n[0], Lines: n[1], Words: n[2]}, n[columnDeliveries], n[columnWorker]}
	}
	return rows, nil
}
