package daemon

import (
	"io/fs"
	"log/slog"
	"net"
	"os/exec"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Config says how a daemon runs. The zero Config is a daemon for one user on
// the default socket.
type Config struct {
	// Socket is the path to listen on; the first of wire.SocketPaths if empty.
	Socket string
	// Listener is a socket that a supervisor listens on already, with mode and owner as it
	// likes, and whose path is Socket. Once started, the server closes it, and leaves its name alone. nil =
	// the server makes one.
	Listener *net.UnixListener
	// SocketMode are the permission bits of the socket; 0600 if zero.
	SocketMode fs.FileMode
	// SocketUID and SocketGID own the socket; nil leaves them as they are.
	SocketUID, SocketGID *int

	// MemoryBytes is what the daemon sizes itself for: its budget, and how many connections,
	// objects, seats and waiting calls there may be in all. Zero means what the machine or the cgroup
	// has, which is also the most.
	MemoryBytes uint64
	// BudgetBytes bounds the memory of all objects; zero means half of MemoryBytes, which
	// is also the most.
	BudgetBytes uint64
	// QuotaBytes bounds the memory of one user's objects; zero means the budget.
	QuotaBytes uint64
	// QuotaObjects bounds one user's objects; QuotaObjectsDefault if zero. No more
	// than three quarters of the descriptors that the daemon may open.
	QuotaObjects uint64
	// QuotaConnections bounds one user's connections, zombies included;
	// QuotaConnectionsDefault if zero. No more than an eighth of the descriptors
	// that the daemon may open.
	QuotaConnections uint64
	// QuotaHandles, QuotaSeats and QuotaTokens bound one user's open handles, seats in
	// objects, and tokens that hold rwlocks; zero means his share of what the memory is enough for.
	QuotaHandles, QuotaSeats, QuotaTokens uint64
	// QuotaWaiting bounds one user's calls that wait; zero means his share of WaitingMax.
	QuotaWaiting uint64
	// QuotaBufferBytes bounds one user's messages under way; zero means his share of what
	// the memory is enough for.
	QuotaBufferBytes uint64
	// QuotaTickets bounds one user's tickets; zero means his share of what the memory is
	// enough for.
	QuotaTickets uint64
	// QuotaUsers has the limits of single users, in place of those above and of their
	// shares.
	QuotaUsers map[uint32]Limits
	// SeatsDefault is seats_max of an object whose creator does not say;
	// shm.SeatsDefault if zero.
	SeatsDefault uint32

	// Names say who may create what; everybody everything if empty.
	Names Names

	// KeeperCommand makes the command of a keeper, which writes to its descriptor 3 when it
	// is there: the daemon starts one when there is none. With it, a daemon that is started
	// on the same socket goes on where this one ended. nil = nothing survives the daemon,
	// unless KeeperStarted.
	KeeperCommand func() *exec.Cmd
	// KeeperStarted says that somebody else starts the keeper, and starts it again.
	KeeperStarted bool
	// ReattachGrace is how long after a restart a client that has mapped nothing may take
	// to come back; wire.ReattachGrace if zero.
	ReattachGrace time.Duration

	// WaitingMax bounds the calls of all clients that wait; WaitingMaxDefault
	// if zero.
	WaitingMax int
	// HelloTimeout is how long a connection may be silent before hello;
	// wire.HelloTimeout if zero.
	HelloTimeout time.Duration
	// RoomTimeout is how long a connection waits for room for a long message, when its user's
	// others have it all, before it is closed; ten seconds if zero.
	RoomTimeout time.Duration
	// ZombieInterval is how often zombies are looked at; a second if zero.
	ZombieInterval time.Duration

	// Without switches off features of newer kernels, to test the fallbacks.
	Without Features
	// Logger receives the log; it is discarded if nil.
	Logger *slog.Logger

	descriptors uint64 // that users' things may take; unlimited if that is not known
	budgetCut   uint64 // the budget that was asked for, if it was too much
}

// Of the descriptors that the daemon may open an eighth is for itself. One user's
// connections are no more than an eighth, and need two each (socket and pidfd); his objects,
// which need one each, leave an eighth of all for connections.
const descriptorsPart = 8

// Features are kernel features with a fallback.
type Features struct {
	PeerPIDFD  bool // SO_PEERPIDFD, Linux 6.5
	FutexWaitv bool // futex_waitv, Linux 5.16
	NoexecSeal bool // MFD_NOEXEC_SEAL, Linux 6.3
}

// Defaults of a Config.
const (
	QuotaObjectsDefault     = 65536
	QuotaConnectionsDefault = 16384
	WaitingMaxDefault       = 16384

	zombieIntervalDefault = time.Second
	roomTimeoutDefault    = 10 * time.Second
)

// Check says whether a daemon can be started with it, as far as that shows before.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults fills in what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if c.Socket == "" {
		c.Socket = wire.SocketPaths()[0]
	}
	if c.SocketMode == 0 {
		c.SocketMode = 0o600
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.sizeMemory(); err != nil {
		return c, err
	}
	if c.QuotaBytes == 0 {
		c.QuotaBytes = c.BudgetBytes
	}
	if c.QuotaObjects == 0 {
		c.QuotaObjects = QuotaObjectsDefault
	}
	if c.QuotaConnections == 0 {
		c.QuotaConnections = QuotaConnectionsDefault
	}
	c.descriptors = unlimited
	if files, err := filesLimit(); err == nil {
		part := max(1, files/descriptorsPart)
		c.descriptors = max(1, files-part)
		c.QuotaConnections = min(c.QuotaConnections, part)
		c.QuotaObjects = min(c.QuotaObjects, max(1, c.descriptors-part))
	}
	if c.SeatsDefault == 0 {
		c.SeatsDefault = shm.SeatsDefault
	}
	if c.WaitingMax == 0 {
		c.WaitingMax = WaitingMaxDefault
	}
	if c.HelloTimeout == 0 {
		c.HelloTimeout = wire.HelloTimeout
	}
	if c.RoomTimeout == 0 {
		c.RoomTimeout = roomTimeoutDefault
	}
	if c.ReattachGrace == 0 {
		c.ReattachGrace = wire.ReattachGrace
	}
	if c.ZombieInterval == 0 {
		c.ZombieInterval = zombieIntervalDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.Names.check(); err != nil {
		return c, err
	}
	switch {
	case c.SeatsDefault > shm.SeatsLimit:
		return c, status.New(status.Invalid, "start the daemon", "seats-default is %d, the most is %d",
			c.SeatsDefault, shm.SeatsLimit)
	case c.SocketMode&^fs.FileMode(0o777) != 0:
		return c, status.New(status.Invalid, "start the daemon", "socket mode %#o has more than permission bits",
			c.SocketMode)
	case len(c.Socket)+len(newSuffix) > socketPathMax:
		return c, status.New(status.Invalid, "start the daemon",
			"the socket path %q is longer than %d bytes: choose a shorter one", c.Socket, socketPathMax-len(newSuffix))
	}
	return c, nil
}

// sizeMemory finds out how much memory there is. Promising more than that would make the
// kernel kill somebody.
func (c *Config) sizeMemory() error {
	total, err := MemoryLimit()
	switch {
	case err == nil:
		c.MemoryBytes = min(total, orMost(c.MemoryBytes, total))
	case c.MemoryBytes == 0 && c.BudgetBytes == 0:
		return err
	case c.MemoryBytes == 0:
		c.MemoryBytes = 2 * c.BudgetBytes
	}
	half := c.MemoryBytes / 2
	if c.BudgetBytes > half {
		c.budgetCut = c.BudgetBytes
	}
	c.BudgetBytes = min(half, orMost(c.BudgetBytes, half))
	return nil
}
