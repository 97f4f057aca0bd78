package crash

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// A talk: two clients, each with an end of a pipe, send and receive at the same time,
// numbered messages or numbered bytes, until one of them ends. The books are in the array
// "talk", two cells for each line: of the ends a and b, or of what goes from them.
// c/talk.h does the same.
const (
	talkStop    = 0  // of an end: not 0 = it shall close
	talkIntent  = 2  // so much of what goes from it was begun
	talkSent    = 4  // so much was sent for certain
	talkGot     = 6  // so much of it was received
	talkTold    = 8  // the status that its receiver was told as its end
	talkRefused = 10 // the status that was told to who sends from it
	talkCells   = 12

	talkBytes = 4096 // of the ring of each way
	talkMany  = 3    // messages in a batch
	talkChunk = 1500 // bytes at once
)

// What an end does, in any combination.
const (
	talkSends    = "s"
	talkReceives = "r"
	talkFlow     = "b" // of bytes
)

// talkMessage is a message from an end, as long as its number says; every 32nd goes
// through the ring in pieces.
func talkMessage(from int, number int64) []byte {
	length := 16 + 8*(number%60)
	if number%32 == 31 {
		length = 3 * talkBytes
	}
	m := make([]byte, length)
	for i := 0; i < len(m); i += 16 {
		binary.LittleEndian.PutUint64(m[i:], uint64(from))
		if i+8 < len(m) {
			binary.LittleEndian.PutUint64(m[i+8:], uint64(number))
		}
	}
	return m
}

// talkByte is the byte at a position of what goes from an end.
func talkByte(from int, position int64) byte { return byte(position*7 + position>>8 + int64(from)) }

// pipeEnd is an end of a pipe. Nothing but the tries has a timeout.
type pipeEnd interface {
	send(message []byte) error
	sendInPlace(message []byte) error // if the flavour can
	sendMany(messages [][]byte) (int, error)
	trySend(message []byte) error
	recv() ([]byte, error)
	recvInPlace() ([]byte, error)                   // likewise
	recvMany(look func(message []byte) error) error // up to talkMany, in place if it can
	write(b []byte) (int, error)
	tryWrite(b []byte) error
	read(b []byte) (int, error)
	close() error
}

// talker is a client in a talk.
type talker struct {
	end   pipeEnd
	books atoms
	own   int // which end
	does  string
}

func (t *talker) can(what string) bool { return strings.Contains(t.does, what) }

func talk(o opens, name, which, does string) error {
	own := map[string]int{wire.EndA: 0, wire.EndB: 1}[which]
	books, err := o.atoms("talk")
	t := &talker{books: books, own: own, does: does}
	if err == nil {
		t.end, err = o.end(name, which)
	}
	fmt.Println(outcome(err))
	if err != nil {
		return err
	}
	halves := make(chan error, 2)
	go func() { halves <- t.sends() }()
	go func() { halves <- t.receives() }()
	for range cap(halves) {
		if err := <-halves; err != nil {
			return err
		}
	}
	return errors.Join(t.end.close(), books.close())
}

func (t *talker) stopped() (bool, error) {
	stop, err := t.books.load(talkStop + t.own)
	return stop != 0, err
}

// over reports whether an error is the end of the other end.
func over(err error) bool {
	code := status.Of(err)
	return code == status.Ended || code == status.PeerDied
}

// sends sends until the client shall close, or is refused. Then it is so at once, for ever.
func (t *talker) sends() error {
	for n := int64(0); ; {
		stop, err := t.stopped()
		if err != nil || stop {
			return err
		}
		if !t.can(talkSends) {
			// Who only receives is stopped here, or has been told in the other half.
			if told, err := t.books.load(talkTold + 1 - t.own); err != nil || told != 0 {
				return err
			}
			runtime.Gosched()
			continue
		}
		sent, err := t.sendNext(n)
		if over(err) {
			if again := t.refused(); status.Of(again) != status.Of(err) {
				return fmt.Errorf("who was refused with %v is then told %v", err, again)
			}
			return t.books.store(talkRefused+t.own, int64(status.Of(err)))
		}
		if err != nil {
			return err
		}
		n += sent
		if err := t.books.store(talkSent+t.own, n); err != nil {
			return err
		}
	}
}

// refused tries to send to an end that is over, whatever room there is.
func (t *talker) refused() error {
	if t.can(talkFlow) {
		return t.end.tryWrite([]byte{0})
	}
	return t.end.trySend(nil)
}

// sendNext sends a message, or a batch, or some bytes, the first of which has a number.
func (t *talker) sendNext(n int64) (sent int64, err error) {
	intend := func(count int64) error { return t.books.store(talkIntent+t.own, n+count) }
	if t.can(talkFlow) {
		chunk := make([]byte, 1+n%talkChunk)
		for i := range chunk {
			chunk[i] = talkByte(t.own, n+int64(i))
		}
		if err := intend(int64(len(chunk))); err != nil {
			return 0, err
		}
		wrote, err := t.end.write(chunk)
		return int64(wrote), err
	}
	if n%8 == 5 {
		messages := make([][]byte, talkMany)
		for i := range messages {
			messages[i] = talkMessage(t.own, n+int64(i))
		}
		if err := intend(talkMany); err != nil {
			return 0, err
		}
		sent, err := t.end.sendMany(messages)
		return int64(sent), err
	}
	if err := intend(1); err != nil {
		return 0, err
	}
	if n%4 == 2 {
		return 1, t.end.sendInPlace(talkMessage(t.own, n))
	}
	return 1, t.end.send(talkMessage(t.own, n))
}

// receives receives until the client shall close, or is told of the end of the other. Then
// it is told so for ever, and what it sends is refused at once.
func (t *talker) receives() error {
	if !t.can(talkReceives) {
		return nil
	}
	from := 1 - t.own
	for n := int64(0); ; {
		before := n
		err := t.recvNext(&n)
		if over(err) {
			return t.told(n, err)
		}
		if err == nil {
			err = t.books.store(talkGot+from, n)
		}
		if err != nil {
			return fmt.Errorf("after %d: %w", before, err)
		}
		if stop, err := t.stopped(); err != nil || stop {
			return err
		}
	}
}

func (t *talker) told(n int64, end error) error {
	for range 2 {
		if err := t.recvNext(&n); status.Of(err) != status.Of(end) {
			return fmt.Errorf("who was told %v is then told %v", end, err)
		}
	}
	if !t.can(talkSends) { // else somebody does already
		if err := t.refused(); status.Of(err) != status.Of(end) {
			return fmt.Errorf("who was told %v sends, and is told %v", end, err)
		}
	}
	return t.books.store(talkTold+1-t.own, int64(status.Of(end)))
}

// recvNext receives what comes next, wants it to be that, and counts it.
func (t *talker) recvNext(n *int64) error {
	from := 1 - t.own
	if t.can(talkFlow) {
		buffer := make([]byte, 1+*n%talkChunk)
		got, err := t.end.read(buffer)
		for i, b := range buffer[:got] {
			if b != talkByte(from, *n+int64(i)) {
				return fmt.Errorf("byte %d is %#x", *n+int64(i), b)
			}
		}
		*n += int64(got)
		return err
	}
	look := func(message []byte) error {
		if !bytes.Equal(message, talkMessage(from, *n)) {
			return fmt.Errorf("message %d is % .48x, of %d bytes", *n, message, len(message))
		}
		*n++
		return nil
	}
	if *n%8 == 3 {
		return t.end.recvMany(look)
	}
	recv := t.end.recv
	if *n%4 == 2 {
		recv = t.end.recvInPlace
	}
	message, err := recv()
	if err != nil {
		return err
	}
	return look(message)
}

// --- In mapped memory.

type mappedEnd struct {
	*shmd.PipeEnd
	pipe *shmd.Pipe
}

func (o mappedOpens) end(name, which string) (pipeEnd, error) {
	ctx := context.Background()
	p, err := shmd.OpenPipe(ctx, o.client, name)
	if err != nil {
		return nil, err
	}
	e, err := p.End(ctx, map[string]shmd.End{wire.EndA: shmd.EndA, wire.EndB: shmd.EndB}[which])
	return mappedEnd{e, p}, err
}

func (e mappedEnd) send(message []byte) error { return e.Send(context.Background(), message) }

func (e mappedEnd) sendInPlace(message []byte) error {
	place, err := e.Reserve(context.Background(), len(message))
	if err != nil {
		return err
	}
	return e.Commit(copy(place, message))
}

func (e mappedEnd) sendMany(messages [][]byte) (int, error) {
	return e.SendMany(context.Background(), messages)
}

func (e mappedEnd) trySend(message []byte) error { return e.TrySend(message) }
func (e mappedEnd) recv() ([]byte, error)        { return e.Recv(context.Background()) }

func (e mappedEnd) recvInPlace() ([]byte, error) {
	peeked, err := e.Peek(context.Background())
	if err != nil {
		return nil, err
	}
	message := bytes.Clone(peeked)
	return message, e.Advance(1)
}

func (e mappedEnd) recvMany(look func([]byte) error) error {
	peeked, err := e.PeekMany(context.Background(), talkMany)
	if err != nil {
		return err
	}
	for _, message := range peeked {
		if err := look(message); err != nil {
			return err
		}
	}
	return e.Advance(len(peeked))
}

func (e mappedEnd) write(b []byte) (int, error) { return e.WriteBytes(context.Background(), b) }

func (e mappedEnd) tryWrite(b []byte) error {
	_, err := e.TryWriteBytes(b)
	return err
}

func (e mappedEnd) read(b []byte) (int, error) { return e.ReadBytes(context.Background(), b) }
func (e mappedEnd) close() error               { return e.pipe.Close() }

// --- Over the socket alone.

type remoteEnd struct{ *remote }

func (o socketOpens) end(name, which string) (pipeEnd, error) {
	r, err := o.remote(wire.KindPipe, name)
	if err == nil {
		err = r.call(wire.MethodClaim, nil, which)
	}
	return remoteEnd{r}, err
}

func (e remoteEnd) send(message []byte) error        { return e.call(wire.MethodSend, nil, message) }
func (e remoteEnd) sendInPlace(message []byte) error { return e.send(message) }

func (e remoteEnd) sendMany(messages [][]byte) (n int, err error) {
	err = e.call(wire.MethodSendMany, &n, messages)
	return n, err
}

func (e remoteEnd) trySend(message []byte) error { return e.call(wire.MethodSend, nil, message, 0) }

func (e remoteEnd) recv() (message []byte, err error) {
	err = e.call(wire.MethodRecv, &message)
	return message, err
}

func (e remoteEnd) recvInPlace() ([]byte, error) { return e.recv() }

func (e remoteEnd) recvMany(look func([]byte) error) error {
	var messages [][]byte
	err := e.call(wire.MethodRecvMany, &messages, talkMany)
	for _, message := range messages {
		if err == nil {
			err = look(message)
		}
	}
	return err
}

func (e remoteEnd) write(b []byte) (n int, err error) {
	err = e.call(wire.MethodWriteBytes, &n, b)
	return n, err
}

func (e remoteEnd) tryWrite(b []byte) error { return e.call(wire.MethodWriteBytes, nil, b, 0) }

func (e remoteEnd) read(b []byte) (int, error) {
	var got []byte
	err := e.call(wire.MethodReadBytes, &got, len(b))
	return copy(b, got), err
}
