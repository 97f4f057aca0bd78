package main

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/wire"
)

const createLong = `Create an object: a value, an array, a mutex, a semaphore, a queue, an event, a
condition, a barrier, an rwlock, a stream or a pipe. It stays until it is removed, whoever comes and goes,
unless --lifetime says otherwise.

A value or array has a type, given by its code:

  c  one byte                ?  true or false        u  one character
  b  8 bits, signed          B  8 bits, unsigned     e  float, 16 bits
  h  16 bits, signed         H  16 bits, unsigned    f  float, 32 bits
  i  32 bits, signed         I  32 bits, unsigned    d  float, 64 bits
  l  q  64 bits, signed      L  Q  64 bits, unsigned

or by its name: char bool wchar i8 u8 i16 u16 i32 u32 i64 u64 f16 f32 f64.

Every value and array has a recursive lock of its own, unless --lock says none, or
names the mutex that guards it: @NAME or id:N.

A mutex knows the process that holds it. --recursive lets a holder lock it again;
--unlock-any lets anyone unlock it; --strict makes it unusable if it is released
after an owner's death without being marked consistent.

A semaphore has --initial permits (1), and never more than --maximum. With --undo the
permits of a process that dies come back; without, it is a counter that nobody owns.

A queue holds up to --maxsize messages (1024), each in a slot of --slot-size bytes (256;
with a suffix such as 64K), and none longer than --message-max. Its content is msgpack,
where each message is one value, which the tools write as JSON, or raw, just bytes. A
message that was delivered --deliveries-max times and never acknowledged becomes a dead
letter.

An event is waited for until it is set, and stays set until it is reset; with --set it
is so at first. With --auto-reset one wait ends for each signal, which resets it.

A condition is waited for under a mutex, which --lock names for ever: @NAME or id:N.

A barrier lets go when --parties have arrived, all at once, and begins anew.

An rwlock lets many read or one write, and knows who.

A stream carries messages one way, from one producer to one consumer, through a ring of
--capacity bytes (64K). A pipe goes both ways between two ends; its messages may be longer
than the ring, up to --message-max. With --bytes it carries bytes without borders.`

// createFlags are the flags of create; only those that were given are sent.
type createFlags struct {
	code, shape, init, lock, lifetime string
	length                            uint64
	recursive, unlockAny, strict      bool
	existOK                           bool
	mode                              modeFlag
	seatsMax                          uint32

	initial, maximum       uint32
	undo                   bool
	content                string
	maxsize, deliveriesMax uint32
	slotSize, messageMax   sizeFlag

	autoReset, set bool
	parties        uint32

	capacity sizeFlag
	bytes    bool
}

// kinds are what can be created.
var kinds = []string{wire.KindValue, wire.KindArray, wire.KindMutex, wire.KindSemaphore, wire.KindQueue,
	wire.KindEvent, wire.KindCondition, wire.KindBarrier, wire.KindRWLock,
	wire.KindStream, wire.KindPipe}

func (a *app) newCreate() *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create NAME " + strings.Join(kinds, "|"),
		Short: "Create an object",
		Long:  createLong,
		Example: `shmd create jobs/lock mutex --recursive
shmd create x value --code i --init 5
shmd create a array --code d --length 10 --init 1,2,3
shmd create grid array --code d --shape 3x4 --lock @jobs/lock
shmd create gpu semaphore --initial 4 --undo
shmd create jobs/todo queue --maxsize 100 --slot-size 4K --deliveries-max 3
shmd create log queue --content raw
shmd create ready event
shmd create jobs/changed condition --lock @jobs/lock
shmd create phase barrier --parties 3
shmd create config rwlock
shmd create frames stream --capacity 16M
shmd create talk pipe
shmd create shared value --code Q --mode 0660
shmd create x value --code i --exist-ok`,
		Args: cobra.MatchAll(cobra.ExactArgs(2), kindArg),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return kinds, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := f.options(cmd, args[1])
			if err != nil {
				return on(args[0], err)
			}
			method := wire.MethodCreate
			if f.existOK {
				method = wire.MethodOpenOrCreate
			}
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				var made wire.Attachment
				if err := c.Call(ctx, method, &made, args[0], args[1], options); err != nil {
					return on(args[0], err)
				}
				return a.showCreated(&made)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.code, "code", "c", "", "type `CODE` of a value or array, above")
	flags.StringVar(&f.shape, "shape", "", "dimensions of an array, as `NxM`")
	flags.Uint64Var(&f.length, "length", 0, "`NUMBER` of elements of an array of one dimension")
	flags.StringVar(&f.init, "init", "", "initial `VALUE`, or values separated by commas;\nthe rest is zero")
	flags.StringVar(&f.lock, "lock", "",
		"`WHAT` guards the data: own, none, @NAME or id:N of a mutex\n(default own); of a condition always a mutex")
	flags.BoolVar(&f.recursive, "recursive", false, "mutex: its holder may lock it again")
	flags.BoolVar(&f.unlockAny, "unlock-any", false, "mutex: anyone may unlock it")
	flags.BoolVar(&f.strict, "strict", false, "mutex: unusable unless marked consistent after a death")
	flags.Uint32Var(&f.initial, "initial", 0, "semaphore: `NUMBER` of permits at first (default 1)")
	flags.Uint32Var(&f.maximum, "maximum", 0, "semaphore: `NUMBER` of permits at most (default 2147483647)")
	flags.BoolVar(&f.undo, "undo", false, "semaphore: the permits of a process that dies come back")
	flags.StringVar(&f.content, "content", "", "queue: `WORD`: msgpack (default) or raw")
	flags.Uint32Var(&f.maxsize, "maxsize", 0, "queue: `NUMBER` of messages (default 1024)")
	flags.Var(&f.slotSize, "slot-size", "queue: bytes of a slot (default 256)")
	flags.Var(&f.messageMax, "message-max",
		"queue, stream, pipe: bytes of the longest message (default\none slot; half of the capacity; 1G)")
	flags.Uint32Var(&f.deliveriesMax, "deliveries-max", 0,
		"queue: `NUMBER` of deliveries after which a message that was\n"+
			"never acknowledged is a dead letter (default no limit)")
	flags.BoolVar(&f.set, "set", false, "event: it is set at first")
	flags.BoolVar(&f.autoReset, "auto-reset", false, "event: one wait ends for each signal, and resets it")
	flags.Uint32Var(&f.parties, "parties", 0, "barrier: `NUMBER` of those who must arrive")
	flags.Var(&f.capacity, "capacity", "stream, pipe: bytes of a ring, a power of two (default 64K)")
	flags.BoolVar(&f.bytes, "bytes", false, "pipe: it carries bytes, not messages")
	flags.Var(&f.mode, "mode", "who may read and write it, octal as for files (default 0600)")
	flags.Uint32Var(&f.seatsMax, "seats-max", 0,
		"`NUMBER` of processes that may have it open at once\n(default what the daemon says, 64)")
	flags.StringVar(&f.lifetime, "lifetime", "",
		"`WORD`: persistent (default), refcounted (gone with the last\nuser) or owned (gone with its creator)")
	flags.BoolVar(&f.existOK, "exist-ok", false, "no failure if it exists already and is the same")
	cmd.MarkFlagsMutuallyExclusive("shape", "length")
	for _, name := range []string{"mode", "slot-size", "message-max", "capacity"} {
		flags.Lookup(name).DefValue = "" // the daemon's, not 0
	}
	return cmd
}

func kindArg(_ *cobra.Command, args []string) error {
	if slices.Contains(kinds, args[1]) {
		return nil
	}
	return usage("unknown kind %q: want one of %s", args[1], strings.Join(kinds, ", "))
}

// options are the wire's options of what was given.
func (f *createFlags) options(cmd *cobra.Command, kind string) (o wire.CreateOptions, err error) {
	given := cmd.Flags().Changed
	if kind == wire.KindValue || kind == wire.KindArray {
		if o, err = f.dataOptions(cmd, kind); err != nil {
			return o, err
		}
	} else {
		for _, name := range []string{"code", "init"} { // the daemon refuses the others
			if given(name) {
				return o, usage("%s has no --%s", one(kind), name)
			}
		}
	}
	switch {
	case kind == wire.KindArray && !given("length") && !given("shape"):
		return o, usage("an array needs its size: --length NUMBER or --shape NxM")
	case kind == wire.KindCondition && !given("lock"):
		return o, usage("a condition needs its mutex: --lock @NAME or id:N")
	case kind == wire.KindBarrier && !given("parties"):
		return o, usage("a barrier needs to know how many must arrive: --parties NUMBER")
	}
	if given("length") {
		o.Length = &f.length
	}
	if given("shape") {
		if o.Shape, err = parseShape(f.shape); err != nil {
			return o, err
		}
	}
	if given("lock") {
		o.Lock = f.lock
		if strings.HasPrefix(f.lock, "id:") {
			if o.Lock, err = parseRef(f.lock); err != nil {
				return o, err
			}
		}
	}
	for name, option := range map[string]struct {
		to   **bool
		from *bool
	}{"recursive": {&o.Recursive, &f.recursive}, "unlock-any": {&o.UnlockAny, &f.unlockAny},
		"strict": {&o.Strict, &f.strict}, "undo": {&o.Undo, &f.undo}, "auto-reset": {&o.AutoReset, &f.autoReset},
		"set": {&o.Set, &f.set}, "bytes": {&o.Bytes, &f.bytes}} {
		if given(name) {
			*option.to = option.from
		}
	}
	for name, option := range map[string]struct {
		to   **uint32
		from *uint32
	}{"seats-max": {&o.SeatsMax, &f.seatsMax}, "initial": {&o.Initial, &f.initial}, "maximum": {&o.Maximum, &f.maximum},
		"maxsize": {&o.MaxSize, &f.maxsize}, "deliveries-max": {&o.DeliveriesMax, &f.deliveriesMax},
		"parties": {&o.Parties, &f.parties}} {
		if given(name) {
			*option.to = option.from
		}
	}
	for name, option := range map[string]struct {
		to   **uint32
		from sizeFlag
	}{"slot-size": {&o.SlotSize, f.slotSize}, "message-max": {&o.MessageMax, f.messageMax},
		"capacity": {&o.Capacity, f.capacity}} {
		if !given(name) {
			continue
		}
		if option.from > math.MaxUint32 {
			return o, usage("--%s is %d: want less than 4G", name, option.from)
		}
		*option.to = new(uint32(option.from))
	}
	if given("content") {
		o.Content = &f.content
	}
	if given("mode") {
		o.Mode = new(uint32(f.mode))
	}
	if given("lifetime") {
		o.Lifetime = &f.lifetime
	}
	return o, nil
}

// dataOptions are the type and the initial values.
func (f *createFlags) dataOptions(cmd *cobra.Command, kind string) (o wire.CreateOptions, err error) {
	if f.code == "" {
		return o, usage("a %s needs its type: --code CODE", kind)
	}
	code, err := ctypes.Parse(f.code)
	if err != nil {
		return o, usage("%w", err)
	}
	o.Code = new(code.String())
	if !cmd.Flags().Changed("init") {
		return o, nil
	}
	if kind == wire.KindValue {
		bits, err := parseValue("create", code, f.init)
		if err != nil {
			return o, err
		}
		o.Init, err = ctypes.AppendMsgpack(nil, code, bits)
		return o, err
	}
	mem, err := valuesToMemory("create", code, strings.Split(f.init, ","))
	if err != nil {
		return o, err
	}
	o.Init, err = ctypes.AppendMsgpackSlice(nil, code, mem)
	return o, err
}

// showCreated is silent in text, as mkdir is, but for an object that could not
// be found again.
func (a *app) showCreated(made *wire.Attachment) error {
	switch {
	case a.json:
		return a.emit(append(documentOf(made.Info), entry{"created", made.Created}))
	case made.Name == "":
		return a.printf("%s\n", nameText(&made.Info))
	}
	return nil
}
