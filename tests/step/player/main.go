// Command player is the twin in Go of ../c/player.c: a client that does what its
// standard input says, one operation and one answer a line. The words stand in
// the documentation of package step. Built with the tag shmd_crash it can be told
// after which of its stores to die.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

func main() {
	client, err := shmd.Dial(context.Background(), shmd.Options{Software: "player"})
	fmt.Println(answer(result{}, err))
	if err != nil {
		return
	}
	p := &player{client: client}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		fmt.Println(p.obey(strings.Fields(input.Text())))
	}
	for _, closing := range []interface{ Close() error }{p.close(""), client} {
		if err := closing.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// result is what an operation tells besides its error.
type result struct {
	notice  bool
	numbers []int64
}

// answer is what a line is answered; the sentence of an error goes to standard error.
func answer(r result, err error) string {
	var b strings.Builder
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		b.WriteString("error " + status.Of(err).Name())
	case r.notice:
		b.WriteString("notice")
	default:
		b.WriteString("ok")
	}
	for _, n := range r.numbers {
		b.WriteString(" " + strconv.FormatInt(n, 10))
	}
	return b.String()
}

// player is what it has open, one of each kind.
type player struct {
	client    *shmd.Client
	mutex     *shmd.Mutex
	owner     *shmd.Owner // of the mutex: a thread of control of its own, as in C
	value     *shmd.Value[int64]
	array     *shmd.Array[int64]
	semaphore *shmd.Semaphore
	queue     *shmd.Queue
	event     *shmd.Event
	condition *shmd.Condition
	barrier   *shmd.Barrier
	rwlock    *shmd.RWLock
	rwOwner   *shmd.RWOwner // of the rwlock, likewise
	stream    *shmd.Stream
	producer  *shmd.StreamProducer
	consumer  *shmd.StreamConsumer
	pipe      *shmd.Pipe
	end       *shmd.PipeEnd

	version     uint64
	message     []byte
	lease       *shmd.Lease
	leases      []*shmd.Lease
	reservation *shmd.Reservation
	room        []byte // that was reserved in a stream or pipe
	peeked      int    // so many messages
	writeAt     uint32 // in the flow of a pipe of bytes; likewise
	readAt      uint32
}

func (p *player) obey(words []string) string {
	if words[0] == "crash" {
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return answer(result{}, err)
		}
		crashAfter(n)
		defer crashNever()
		words = words[2:]
	}
	kind, verb := words[0], words[1]
	if kind == "warm" {
		return answer(result{}, nil)
	}
	if verb == "open" {
		return answer(result{}, p.open(kind, words[2]))
	}
	numbers := make([]int64, 3)
	for i, word := range words[2:] {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return answer(result{}, err)
		}
		numbers[i] = n
	}
	operate, ok := operations[kind+" "+verb]
	if !ok {
		fmt.Fprintf(os.Stderr, "no such operation: %s %s\n", kind, verb)
		os.Exit(2)
	}
	return answer(operate(p, numbers))
}

func (p *player) open(kind, name string) (err error) {
	if err := p.close(kind).Close(); err != nil {
		return err
	}
	ctx := context.Background()
	switch kind {
	case "mutex":
		if p.mutex, err = shmd.OpenMutex(ctx, p.client, name); err == nil {
			p.owner = p.mutex.NewOwner()
		}
	case "value":
		p.value, err = shmd.OpenValue[int64](ctx, p.client, name)
	case "array":
		p.array, err = shmd.OpenArray[int64](ctx, p.client, name)
	case "semaphore":
		p.semaphore, err = shmd.OpenSemaphore(ctx, p.client, name)
	case "queue":
		p.queue, err = shmd.OpenQueue(ctx, p.client, name)
	case "event":
		p.event, err = shmd.OpenEvent(ctx, p.client, name)
	case "condition":
		p.condition, err = shmd.OpenCondition(ctx, p.client, name)
	case "barrier":
		p.barrier, err = shmd.OpenBarrier(ctx, p.client, name)
	case "stream":
		p.producer, p.consumer = nil, nil
		p.stream, err = shmd.OpenStream(ctx, p.client, name)
	case "pipe":
		p.end, p.writeAt, p.readAt = nil, 0, 0
		p.pipe, err = shmd.OpenPipe(ctx, p.client, name)
	default:
		if p.rwlock, err = shmd.OpenRWLock(ctx, p.client, name); err == nil {
			p.rwOwner = p.rwlock.NewOwner()
		}
	}
	return err
}

// closer closes what it names.
type closer []interface{ Close() error }

func (c closer) Close() error {
	for _, o := range c {
		if err := o.Close(); err != nil {
			return err
		}
	}
	return nil
}

// close returns what closes the object of the kind, "" = all.
func (p *player) close(kind string) closer {
	var open closer
	add := func(of string, is bool, o interface{ Close() error }) {
		if is && (kind == "" || kind == of) {
			open = append(open, o)
		}
	}
	add("mutex", p.mutex != nil, p.mutex)
	add("value", p.value != nil, p.value)
	add("array", p.array != nil, p.array)
	add("semaphore", p.semaphore != nil, p.semaphore)
	add("queue", p.queue != nil, p.queue)
	add("event", p.event != nil, p.event)
	add("condition", p.condition != nil, p.condition)
	add("barrier", p.barrier != nil, p.barrier)
	add("rwlock", p.rwlock != nil, p.rwlock)
	add("stream", p.stream != nil, p.stream)
	add("pipe", p.pipe != nil, p.pipe)
	return open
}

// within makes a context of a timeout, which is not 0.
func within(ns int64) (context.Context, context.CancelFunc) {
	if ns > 0 {
		return context.WithTimeout(context.Background(), time.Duration(ns))
	}
	return context.WithCancel(context.Background())
}

// waits runs what has a form that does not wait, for timeout 0.
func waits(ns int64, now func() error, wait func(ctx context.Context) error) error {
	if ns == 0 {
		return now()
	}
	ctx, cancel := within(ns)
	defer cancel()
	return wait(ctx)
}
