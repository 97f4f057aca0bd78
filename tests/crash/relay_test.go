package crash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// A relay: one producer after the other sends numbered messages through the stream
// "relay", and one consumer after the other receives them. Each message carries which
// producer of all it is from, and its number among that one's. The books are in the array
// "ledger"; c/relay.h does the same.
const (
	relayStop     = 0 // not 0 = the producer retires
	relayProgress = 1 // messages sent, and received
	relayLast     = 2 // the last message received: its producer << 32 | its number + 1
	relayTold     = 3 // ends told
	relaySent     = 4 // and on: how many each producer has sent for certain

	relayProducersMax = 1024
	relayBytes        = 4096 // of the ring
)

// relayMessage is a message, as long as its number says.
func relayMessage(producer, number int64) []byte {
	m := make([]byte, 16+8*(number%60))
	for i := 0; i < len(m); i += 16 {
		binary.LittleEndian.PutUint64(m[i:], uint64(producer))
		if i+8 < len(m) {
			binary.LittleEndian.PutUint64(m[i+8:], uint64(number))
		}
	}
	return m
}

// conduit is a role in a stream.
type conduit interface {
	send(message []byte) error
	recv() ([]byte, error)
	close() error
}

// relay runs in a client: as the producer of a number, or as a consumer before which so
// many have died.
func relay(o opens, verb string, argument int64) error {
	ledger, err := o.atoms("ledger")
	var c conduit
	if err == nil {
		c, err = o.conduit("relay", map[string]string{"send": wire.RoleProducer, "receive": wire.RoleConsumer}[verb])
	}
	fmt.Println(outcome(err))
	if err != nil {
		return err
	}
	if verb == "send" {
		err = relaySend(c, ledger, argument)
	} else {
		err = relayReceive(c, ledger, argument)
	}
	return errors.Join(err, c.close(), ledger.close())
}

// relaySend sends one message at least: the end of a producer without any is told together
// with the end before it, which the consumer may know already.
func relaySend(c conduit, ledger atoms, producer int64) error {
	for number := int64(0); ; number++ {
		stop, err := ledger.load(relayStop)
		if err != nil || stop != 0 && number > 0 {
			return err
		}
		if err = c.send(relayMessage(producer, number)); err == nil {
			_, err = ledger.add(relaySent+int(producer), 1)
		}
		if err == nil {
			_, err = ledger.add(relayProgress, 1)
		}
		if err != nil {
			return err
		}
	}
}

// relayReceive receives until a producer retires. Between the last message of the books
// and the first one there may be a gap: each consumer that died may have taken one, or an
// end, with it.
func relayReceive(c conduit, ledger atoms, gap int64) error {
	told := false
	for ; ; gap = 0 {
		last, err := ledger.load(relayLast)
		if err != nil {
			return err
		}
		producer, next := last>>32, last&0xffffffff
		message, err := c.recv()
		code := status.Of(err)
		if code == status.PeerDied || code == status.Ended {
			sent, err := ledger.load(relaySent + int(producer))
			if err != nil {
				return err
			}
			if told || next+gap < sent {
				return fmt.Errorf("%v was told behind message %d of producer %d, who had sent %d",
					code, next, producer, sent)
			}
			told = true
			if _, err := ledger.add(relayTold, 1); err != nil || code == status.Ended {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if len(message) < 16 {
			return fmt.Errorf("a message of %d bytes", len(message))
		}
		of, number := int64(binary.LittleEndian.Uint64(message)), int64(binary.LittleEndian.Uint64(message[8:]))
		first := number - next
		if of != producer {
			first = number
		}
		switch {
		case string(message) != string(relayMessage(of, number)):
			return fmt.Errorf("the message is % x", message)
		case of < producer || first < 0 || first > gap:
			return fmt.Errorf("message %d of producer %d after %d of producer %d", number, of, next-1, producer)
		case of != producer && !told && gap == 0 && last != 0:
			return fmt.Errorf("nobody told of the end of producer %d before message %d of %d", producer, number, of)
		}
		told = false
		if err := ledger.store(relayLast, of<<32|(number+1)); err != nil {
			return err
		}
		if _, err := ledger.add(relayProgress, 1); err != nil {
			return err
		}
	}
}

// --- In mapped memory.

type mappedConduit struct {
	*shmd.Stream
	producer *shmd.StreamProducer
	consumer *shmd.StreamConsumer
}

func (o mappedOpens) conduit(name, role string) (conduit, error) {
	ctx := context.Background()
	s, err := shmd.OpenStream(ctx, o.client, name)
	if err != nil {
		return nil, err
	}
	c := mappedConduit{Stream: s}
	if role == wire.RoleProducer {
		c.producer, err = s.Producer(ctx)
	} else {
		c.consumer, err = s.Consumer(ctx)
	}
	return c, err
}

func (c mappedConduit) send(message []byte) error {
	return c.producer.Send(context.Background(), message)
}
func (c mappedConduit) recv() ([]byte, error) { return c.consumer.Recv(context.Background()) }
func (c mappedConduit) close() error          { return c.Close() }

// --- Over the socket alone.

type remoteConduit struct{ *remote }

func (o socketOpens) conduit(name, role string) (conduit, error) {
	r, err := o.remote(wire.KindStream, name)
	if err == nil {
		err = r.call(wire.MethodClaim, nil, role)
	}
	return remoteConduit{r}, err
}

func (c remoteConduit) send(message []byte) error { return c.call(wire.MethodSend, nil, message) }

func (c remoteConduit) recv() (message []byte, err error) {
	err = c.call(wire.MethodRecv, &message)
	return message, err
}
