package interop

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// goRing is an open stream or pipe, with what was claimed of it last.
type goRing struct {
	stream   *shmd.Stream
	producer *shmd.StreamProducer
	consumer *shmd.StreamConsumer
	pipe     *shmd.Pipe
	end      *shmd.PipeEnd
}

func (d *goDriver) createRing(ctx context.Context, slot, kind, name, flags string, words []string) error {
	n, err := numbers(words)
	if err != nil {
		return err
	}
	n = append(n, 0, 0)
	if kind == wire.KindStream {
		s, err := shmd.CreateStream(ctx, d.client, name, shmd.StreamOptions{CapacityBytes: n[0], MessageMaxBytes: n[1]})
		return d.keepRing(slot, s, &goRing{stream: s}, err)
	}
	p, err := shmd.CreatePipe(ctx, d.client, name, shmd.PipeOptions{CapacityBytes: n[0], MessageMaxBytes: n[1],
		Bytes: flags == wire.FlagBytes})
	return d.keepRing(slot, p, &goRing{pipe: p}, err)
}

func (d *goDriver) openRing(ctx context.Context, slot, kind, name string) error {
	if kind == wire.KindStream {
		s, err := shmd.OpenStream(ctx, d.client, name)
		return d.keepRing(slot, s, &goRing{stream: s}, err)
	}
	p, err := shmd.OpenPipe(ctx, d.client, name)
	return d.keepRing(slot, p, &goRing{pipe: p}, err)
}

func (d *goDriver) keepRing(slot string, closer interface{ Close() error }, r *goRing, err error) error {
	if err == nil {
		d.slots[slot] = &goSlot{closer: closer, ring: r}
	}
	return err
}

// obey obeys a command about a stream or a pipe.
func (r *goRing) obey(verb string, words []string) ([]string, error) {
	switch verb {
	case "claim":
		return r.claim(words[0])
	case "retire":
		return nil, r.retire(words[0])
	case "send", "writebytes":
		return r.send(verb, words[0], words[1])
	case "sendmany":
		return r.sendMany(words[0], words[1:])
	case "recv":
		return r.receive(verb, 0, words[0])
	case "recvmany", "readbytes":
		most, err := strconv.Atoi(words[0])
		if err != nil {
			return nil, err
		}
		return r.receive(verb, most, words[1])
	}
	return nil, fmt.Errorf("%w: %s of a stream or a pipe", errCommand, verb)
}

func (r *goRing) claim(role string) (_ []string, err error) {
	ctx := context.Background()
	switch {
	case role == wire.RoleProducer:
		r.producer, err = r.stream.Producer(ctx)
	case role == wire.RoleConsumer:
		r.consumer, err = r.stream.Consumer(ctx)
	default:
		var end *shmd.PipeEnd
		end, err = r.pipe.End(ctx, map[string]shmd.End{"a": shmd.EndA, "b": shmd.EndB, "any": shmd.AnyEnd}[role])
		if err == nil {
			r.end, role = end, end.Which().String()
		}
	}
	return []string{role}, err
}

func (r *goRing) retire(role string) error {
	switch role {
	case wire.RoleProducer:
		return r.producer.Close()
	case wire.RoleConsumer:
		return r.consumer.Close()
	}
	return r.end.Close()
}

// goSender and goReceiver are what streams and pipes share.
type goSender interface {
	Send(ctx context.Context, message []byte) error
	TrySend(message []byte) error
	SendMany(ctx context.Context, messages [][]byte) (int, error)
}

type goReceiver interface {
	Recv(ctx context.Context) ([]byte, error)
	TryRecv() ([]byte, error)
	RecvMany(ctx context.Context, most int) ([][]byte, error)
}

func (r *goRing) sender() goSender {
	if r.stream != nil {
		return r.producer
	}
	return r.end
}

func (r *goRing) receiver() goReceiver {
	if r.stream != nil {
		return r.consumer
	}
	return r.end
}

func (r *goRing) send(verb, text, timeout string) ([]string, error) {
	message, err := fromHex(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel, ns, err := within(timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	switch {
	case verb == "writebytes":
		write := r.end.WriteBytes
		if ns == 0 {
			write = func(context.Context, []byte) (int, error) { return r.end.TryWriteBytes(message) }
		}
		n, err := write(ctx, message)
		return []string{strconv.Itoa(n)}, err
	case ns == 0:
		return nil, r.sender().TrySend(message)
	}
	return nil, r.sender().Send(ctx, message)
}

func (r *goRing) sendMany(timeout string, texts []string) ([]string, error) {
	messages := make([][]byte, len(texts))
	for i, text := range texts {
		var err error
		if messages[i], err = fromHex(text); err != nil {
			return nil, err
		}
	}
	ctx, cancel, _, err := within(timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	n, err := r.sender().SendMany(ctx, messages)
	return []string{strconv.Itoa(n)}, err
}

func (r *goRing) receive(verb string, most int, timeout string) ([]string, error) {
	ctx, cancel, ns, err := within(timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var messages [][]byte
	switch {
	case verb == "recvmany":
		messages, err = r.receiver().RecvMany(ctx, most)
	case verb == "readbytes":
		buffer := make([]byte, most)
		var n int
		if ns == 0 {
			n, err = r.end.TryReadBytes(buffer)
		} else {
			n, err = r.end.ReadBytes(ctx, buffer)
		}
		messages = [][]byte{buffer[:n]}
	default:
		receive := r.receiver().Recv
		if ns == 0 {
			receive = func(context.Context) ([]byte, error) { return r.receiver().TryRecv() }
		}
		var message []byte
		message, err = receive(ctx)
		messages = [][]byte{message}
	}
	texts := make([]string, len(messages))
	for i, message := range messages {
		texts[i] = inHex(message)
	}
	return texts, err
}

// fromHex and inHex are bytes as the drivers write them, "-" for none.
func fromHex(text string) ([]byte, error) { return hex.DecodeString(strings.TrimPrefix(text, "-")) }

func inHex(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}
