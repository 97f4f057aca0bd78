package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// driverVariable turns this test binary into the Go driver; it holds the socket.
const driverVariable = "SHMD_INTEROP_DRIVER"

func TestMain(m *testing.M) {
	if socket := os.Getenv(driverVariable); socket != "" {
		if err := drive(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// drive is the Go driver.
func drive(socket string) error {
	c, err := shmd.Dial(context.Background(), shmd.Options{Socket: socket, Software: "interop Go"})
	if err != nil {
		return err
	}
	d := goDriver{client: c, slots: make(map[string]*goSlot)}
	fmt.Println("ok")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := d.obey(strings.Split(lines.Text(), " "))
		switch {
		case errors.Is(err, errCommand):
			return err
		case err != nil:
			fmt.Println("error", status.Of(err).Name())
		case len(answer) > 0 && (answer[0] == "died" || answer[0] == "dirty"):
			fmt.Println(strings.Join(answer, " "))
		default:
			fmt.Println(strings.Join(append([]string{"ok"}, answer...), " "))
		}
	}
	return errors.Join(lines.Err(), c.Close())
}

// errCommand is a mistake of the test.
var errCommand = errors.New("no such command")

type goDriver struct {
	client *shmd.Client
	slots  map[string]*goSlot
}

// goSlot is an open object; elements and changes are nil for a mutex.
type goSlot struct {
	closer   interface{ Close() error }
	lock     goLock
	elements goElements
	changes  goChanges
	mutex    *shmd.Mutex
	latched  *goLatched // nil unless a semaphore or a queue
	sync     *goSync    // nil unless of syncKinds
	ring     *goRing    // nil unless a stream or a pipe
}

// goLock is what mutexes, values and arrays share.
type goLock interface {
	Lock(ctx context.Context) (*shmd.Notice, error)
	TryLock() (*shmd.Notice, error)
	Unlock() error
	MarkConsistent() error
}

// goChanges is what values and arrays share.
type goChanges interface {
	BeginWrite() error
	EndWrite() error
	Version() uint64
	WaitChange(ctx context.Context, version uint64) (uint64, error)
}

// goElements are the elements of a Value[T] or Array[T] as text.
type goElements interface {
	load(i int) (string, error)
	store(i int, x string) error
	add(i int, x string) (string, error)
	exchange(i int, x string) (string, error)
	cas(i int, expected, desired string) (bool, string, error)
	read(start, count int) (values []string, dirty bool, err error)
	write(start int, xs []string) error
	shape() []string
}

// within is the context of a timeout in nanoseconds, as text.
func within(text string) (context.Context, context.CancelFunc, int64, error) {
	ns, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ns < 0 {
		return context.Background(), func() {}, ns, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ns))
	return ctx, cancel, ns, nil
}

func (d *goDriver) obey(words []string) ([]string, error) {
	ctx := context.Background()
	verb, words := words[0], words[1:]
	switch verb {
	case "create":
		return nil, d.create(ctx, words[0], words[1], words[2], words[3], words[4], words[5:])
	case "open":
		return d.open(ctx, words[0], words[1], words[2], words[3])
	case "destroy":
		return nil, d.client.Destroy(ctx, words[0])
	case "unlink":
		return nil, d.client.Unlink(ctx, words[0])
	}
	s := d.slots[words[0]]
	if s == nil {
		return nil, fmt.Errorf("%w: %s of slot %q", errCommand, verb, words)
	}
	words = words[1:]
	switch verb {
	case "close":
		return nil, s.closer.Close()
	}
	switch {
	case s.latched != nil:
		return s.latched.obey(verb, words)
	case s.sync != nil:
		return s.sync.obey(verb, words)
	case s.ring != nil:
		return s.ring.obey(verb, words)
	}
	switch verb {
	case "lock":
		return s.take(words[0])
	case "unlock":
		return nil, s.lock.Unlock()
	case "mark":
		return nil, s.lock.MarkConsistent()
	case "begin":
		return nil, s.changes.BeginWrite()
	case "end":
		return nil, s.changes.EndWrite()
	case "version":
		return []string{strconv.FormatUint(s.changes.Version(), 10)}, nil
	case "wait":
		return s.wait(words[0], words[1])
	}
	return s.element(verb, words)
}

func (s *goSlot) take(timeout string) ([]string, error) {
	ctx, cancel, ns, err := within(timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var notice *shmd.Notice
	if ns == 0 {
		notice, err = s.lock.TryLock()
	} else {
		notice, err = s.lock.Lock(ctx)
	}
	if err != nil || notice == nil {
		return nil, err
	}
	return []string{"died"}, nil
}

func (s *goSlot) wait(version, timeout string) ([]string, error) {
	old, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return nil, err
	}
	ctx, cancel, _, err := within(timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	now, err := s.changes.WaitChange(ctx, old)
	return []string{strconv.FormatUint(now, 10)}, err
}

func (s *goSlot) element(verb string, words []string) (answer []string, err error) {
	i, err := strconv.Atoi(words[0])
	if err != nil {
		return nil, err
	}
	words = words[1:]
	var before string
	switch verb {
	case "load":
		before, err = s.elements.load(i)
	case "store":
		return nil, s.elements.store(i, words[0])
	case "add":
		before, err = s.elements.add(i, words[0])
	case "exchange":
		before, err = s.elements.exchange(i, words[0])
	case "cas":
		var swapped bool
		swapped, before, err = s.elements.cas(i, words[0], words[1])
		answer = []string{strconv.FormatBool(swapped)}
	case "read":
		count, err := strconv.Atoi(words[0])
		if err != nil {
			return nil, err
		}
		values, dirty, err := s.elements.read(i, count)
		if dirty {
			values = append([]string{"dirty"}, values...)
		}
		return values, err
	case "write":
		return nil, s.elements.write(i, words)
	default:
		return nil, fmt.Errorf("%w: %s", errCommand, verb)
	}
	return append(answer, before), err
}

// typed creates and opens values and arrays of one Go type.
type typed interface {
	create(ctx context.Context, c *shmd.Client, kind, name string, o shmd.DataOptions, xs []string) (*goSlot, error)
	open(ctx context.Context, c *shmd.Client, kind, name string, readOnly bool) (*goSlot, error)
}

// typedOf gives each code its Go type.
var typedOf = map[ctypes.Code]typed{
	ctypes.CodeChar: typedAs[ctypes.Char]{}, ctypes.CodeSChar: typedAs[int8]{}, ctypes.CodeUChar: typedAs[uint8]{},
	ctypes.CodeWChar: typedAs[ctypes.WChar]{}, ctypes.CodeShort: typedAs[int16]{}, ctypes.CodeUShort: typedAs[uint16]{},
	ctypes.CodeInt: typedAs[int32]{}, ctypes.CodeUInt: typedAs[uint32]{}, ctypes.CodeLong: typedAs[int64]{},
	ctypes.CodeULong: typedAs[uint64]{}, ctypes.CodeLongLong: typedAs[int64]{}, ctypes.CodeULongLong: typedAs[uint64]{},
	ctypes.CodeFloat: typedAs[float32]{}, ctypes.CodeDouble: typedAs[float64]{}, ctypes.CodeBool: typedAs[bool]{},
	ctypes.CodeHalf: typedAs[ctypes.Half]{},
}

func (d *goDriver) create(ctx context.Context, slot, kind, name, code, flags string, xs []string) error {
	if kind == wire.KindSemaphore || kind == wire.KindQueue {
		return d.createLatched(ctx, slot, kind, name, flags, xs)
	}
	if kind == wire.KindStream || kind == wire.KindPipe {
		return d.createRing(ctx, slot, kind, name, flags, xs)
	}
	if strings.Contains(syncKinds, kind) {
		return d.createSync(ctx, slot, kind, name, flags, xs)
	}
	var s *goSlot
	var err error
	if kind == "mutex" {
		var m *shmd.Mutex
		m, err = shmd.CreateMutex(ctx, d.client, name, shmd.MutexOptions{
			Recursive: strings.Contains(flags, "recursive"), UnlockAny: strings.Contains(flags, "unlock_any"),
			Strict: strings.Contains(flags, "strict"),
		})
		if err == nil {
			s = mutexSlot(m)
		}
	} else {
		o := shmd.DataOptions{Code: ctypes.Code(code[0]), NoLock: flags == "nolock"}
		if mutex, foreign := strings.CutPrefix(flags, "@"); foreign {
			o.Mutex = d.slots[mutex].mutex
		}
		s, err = typedOf[o.Code].create(ctx, d.client, kind, name, o, xs)
	}
	if err == nil {
		d.slots[slot] = s
	}
	return err
}

// open finds out the type first: Go's types are those of the program.
func (d *goDriver) open(ctx context.Context, slot, kind, name, access string) ([]string, error) {
	if kind == wire.KindSemaphore || kind == wire.KindQueue {
		return []string{"-", "0"}, d.openLatched(ctx, slot, kind, name)
	}
	if kind == wire.KindStream || kind == wire.KindPipe {
		return []string{"-", "0"}, d.openRing(ctx, slot, kind, name)
	}
	if strings.Contains(syncKinds, kind) {
		return []string{"-", "0"}, d.openSync(ctx, slot, kind, name, access)
	}
	if kind == "mutex" {
		m, err := shmd.OpenMutex(ctx, d.client, name)
		if err != nil {
			return nil, err
		}
		d.slots[slot] = mutexSlot(m)
		return []string{"-", "0"}, nil
	}
	var info shmd.Info
	if err := d.client.Call(ctx, "stat", &info, name); err != nil {
		return nil, err
	}
	t := typedOf[ctypes.CodeInt] // the wrong kind has no code, and is refused
	if info.Code != "" {
		t = typedOf[ctypes.Code(info.Code[0])]
	}
	s, err := t.open(ctx, d.client, kind, name, access == "r")
	if err != nil {
		return nil, err
	}
	d.slots[slot] = s
	return s.elements.shape(), nil
}

// mutexSlot locks as one thread of control, as the other drivers do.
func mutexSlot(m *shmd.Mutex) *goSlot { return &goSlot{closer: m, lock: m.NewOwner(), mutex: m} }

// typedAs is typed for T.
type typedAs[T ctypes.Element] struct{}

// fromText and toText are by way of the code's bits, which lie in memory as T does.
func fromText[T ctypes.Element](c ctypes.Code, text string) (x T, err error) {
	bits, err := ctypes.ParseText(c, text)
	ctypes.StoreBits(c, memoryOf(&x), bits)
	return x, err
}

func toText[T ctypes.Element](c ctypes.Code, x T) string {
	return ctypes.FormatText(c, ctypes.LoadBits(c, memoryOf(&x)))
}

func memoryOf[T ctypes.Element](x *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(x)), unsafe.Sizeof(*x))
}

func fromTexts[T ctypes.Element](c ctypes.Code, texts []string) ([]T, error) {
	xs := make([]T, len(texts))
	var err error
	for i, text := range texts {
		var failed error
		xs[i], failed = fromText[T](c, text)
		err = errors.Join(err, failed)
	}
	return xs, err
}

func (typedAs[T]) create(ctx context.Context, c *shmd.Client, kind, name string, o shmd.DataOptions,
	texts []string) (*goSlot, error) {
	xs, err := fromTexts[T](o.Code, texts)
	if err != nil {
		return nil, err
	}
	if kind == "value" {
		v, err := shmd.CreateValue(ctx, c, name, xs[0], shmd.ValueOptions{DataOptions: o})
		return &goSlot{closer: v, lock: v, elements: goValue[T]{v}, changes: v}, err
	}
	a, err := shmd.CreateArray[T](ctx, c, name, shmd.ArrayOptions{DataOptions: o, Length: uint64(len(xs))})
	if err != nil {
		return nil, err
	}
	copy(a.View(), xs) // nobody else knows of it yet
	return &goSlot{closer: a, lock: a, elements: goArray[T]{a}, changes: a}, nil
}

func (typedAs[T]) open(ctx context.Context, c *shmd.Client, kind, name string, readOnly bool) (*goSlot, error) {
	openValue, openArray := shmd.OpenValue[T], shmd.OpenArray[T]
	if readOnly {
		openValue, openArray = shmd.OpenValueReadOnly[T], shmd.OpenArrayReadOnly[T]
	}
	if kind == "value" {
		v, err := openValue(ctx, c, name)
		return &goSlot{closer: v, lock: v, elements: goValue[T]{v}, changes: v}, err
	}
	a, err := openArray(ctx, c, name)
	return &goSlot{closer: a, lock: a, elements: goArray[T]{a}, changes: a}, err
}
