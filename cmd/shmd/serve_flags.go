package main

import (
	"io/fs"
	"log/slog"
	"math"

	"github.com/spf13/pflag"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/shm"
)

// serveFlags are the flags of serve, and with them what its configuration file may say.
type serveFlags struct {
	config             daemon.Config
	mode               modeFlag
	owner              ownerFlag
	memory, budget     sizeFlag
	quotaBytes, buffer sizeFlag
	quotaUsers         []string
	logLevel           levelFlag
	logJSON            bool
	without            []string
	readyFD            int
	lifelineFD         int
	keeper             string
	file               string
	check              bool

	flags   *pflag.FlagSet    // once they are read; else nil
	lines   []configLine      // of the file
	origins map[string]string // where a setting is from, by its key; not there = a default

	users       userLimits        // of flags and file
	userOrigins map[string]string // where each is from, by userKey
}

// register makes the flags, and everything its default.
func (f *serveFlags) register(flags *pflag.FlagSet) {
	c := &f.config
	*f = serveFlags{mode: 0o600, config: daemon.Config{QuotaObjects: daemon.QuotaObjectsDefault,
		QuotaConnections: daemon.QuotaConnectionsDefault, SeatsDefault: shm.SeatsDefault,
		WaitingMax: daemon.WaitingMaxDefault}}
	flags.StringVar(&f.file, "config", "", "configuration `FILE`; \"\" is none\n(default the socket's, see above)")
	flags.BoolVar(&f.check, "check-config", false, "say what would hold and from where, and exit")
	flags.Var(&f.mode, "socket-mode", "who may connect, octal as for files")
	flags.Var(&f.owner, "socket-owner", "who owns the socket, by name or number")
	flags.Var(&f.memory, "memory", "what the daemon sizes itself for\n(default what the machine or the cgroup has)")
	flags.Var(&f.budget, "budget", "memory of all objects (default half of --memory)")
	flags.Var(&f.quotaBytes, "quota-bytes", "memory of one user's objects (default the budget)")
	flags.Var(&countFlag[uint64]{&c.QuotaObjects, math.MaxInt64}, "quota-objects", "objects of one user")
	flags.Var(&countFlag[uint64]{&c.QuotaConnections, math.MaxInt64}, "quota-connections", "connections of one user")
	flags.Var(&countFlag[uint64]{&c.QuotaHandles, math.MaxInt64}, "quota-handles",
		"open handles of one user (default his share)")
	flags.Var(&countFlag[uint64]{&c.QuotaSeats, math.MaxInt64}, "quota-seats",
		"places of one user in objects (default his share)")
	flags.Var(&countFlag[uint64]{&c.QuotaTokens, math.MaxInt64}, "quota-tokens",
		"one user's tokens that hold rwlocks (default his share)")
	flags.Var(&countFlag[uint64]{&c.QuotaWaiting, math.MaxInt64}, "quota-waiting",
		"one user's calls that may wait (default his share)")
	flags.Var(&f.buffer, "quota-buffer-bytes", "messages of one user that are under way (default his share)")
	flags.Var(&countFlag[uint64]{&c.QuotaTickets, math.MaxInt64}, "quota-tickets",
		"tickets of one user that are good (default his share)")
	flags.StringArrayVar(&f.quotaUsers, "quota-user", nil, "`USER:LIMIT=N,...` that one user has in place of the\n"+
		"quotas and of his shares, more than once;\nLIMIT is the end of a quota's flag, with _ for -")
	flags.Var(&countFlag[uint32]{&c.SeatsDefault, shm.SeatsLimit}, "seats-default",
		"processes that may open an object at once,\nunless its creator says otherwise")
	flags.Var(&countFlag[int]{&c.WaitingMax, math.MaxInt32}, "waiting-max", "calls of all clients that may wait")
	flags.Var(&f.logLevel, "log-level", "debug, info, warn or error")
	flags.BoolVar(&f.logJSON, "log-json", false, "log JSON")
	flags.StringSliceVar(&f.without, "without", nil,
		"kernel `FEATURES` to do without:\npeerpidfd,futex_waitv,noexec_seal")
	flags.StringVar(&f.keeper, "keeper", keeperStart, "`WHO` has the keeper: start (this daemon starts it),\n"+
		"external (a supervisor does), none (nothing outlives this daemon)")
	flags.IntVar(&f.lifelineFD, "lifeline-fd", -1, "descriptor `N` of the process tree to end with; -1 is none")
	flags.IntVar(&f.readyFD, "ready-fd", -1, "descriptor `N` to write \"ready\" to; -1 is none")
}

// readServe reads the flags as they were given, and the configuration file, which says what
// they do not.
func readServe(given *pflag.FlagSet, socket string) (*serveFlags, error) {
	f := &serveFlags{}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(flags)
	f.origins, f.userOrigins, f.users = make(map[string]string), make(map[string]string), make(userLimits)
	var err error
	given.Visit(func(flag *pflag.Flag) {
		if flags.Lookup(flag.Name) == nil || err != nil {
			return // of all commands
		}
		if slice, ok := flag.Value.(pflag.SliceValue); ok {
			err = flags.Lookup(flag.Name).Value.(pflag.SliceValue).Replace(slice.GetSlice())
			return
		}
		err = flags.Set(flag.Name, flag.Value.String())
	})
	if err != nil {
		return nil, err
	}
	path, asked := f.file, given.Changed("config")
	if !asked {
		path = defaultConfig(socket)
	}
	file, err := readConfig(path, asked)
	if err != nil {
		return nil, err
	}
	f.file = file.path
	users, err := parseQuotaUsers(f.quotaUsers)
	if err != nil {
		return nil, err
	}
	if err := f.apply(flags, file); err != nil {
		return nil, err
	}
	return f, f.takeUserFlags(users)
}

// complete turns what was given into a configuration, all but the socket that a supervisor
// listens on. It logs at a level.
func (f *serveFlags) complete(a *app, socket string, level *slog.LevelVar) (daemon.Config, error) {
	c := f.config
	c.Socket, c.SocketMode = socket, fs.FileMode(f.mode)
	c.SocketUID, c.SocketGID = f.owner.uid, f.owner.gid
	c.MemoryBytes, c.BudgetBytes = uint64(f.memory), uint64(f.budget)
	c.QuotaBytes, c.QuotaBufferBytes, c.QuotaUsers = uint64(f.quotaBytes), uint64(f.buffer), f.users
	level.Set(slog.Level(f.logLevel))
	options := &slog.HandlerOptions{Level: level}
	if onJournal(a.stderr) {
		options.ReplaceAttr = withoutTime
	}
	if f.logJSON || a.json {
		c.Logger = slog.New(slog.NewJSONHandler(a.stderr, options))
	} else {
		c.Logger = slog.New(slog.NewTextHandler(a.stderr, options))
	}
	for _, feature := range f.without {
		switch feature {
		case "peerpidfd":
			c.Without.PeerPIDFD = true
		case "futex_waitv":
			c.Without.FutexWaitv = true
		case "noexec_seal":
			c.Without.NoexecSeal = true
		default:
			return c, usage("--without %s: want peerpidfd, futex_waitv or noexec_seal", feature)
		}
	}
	switch f.keeper {
	case keeperStart:
		c.KeeperCommand = keeperCommand(socket)
	case keeperExternal:
		c.KeeperStarted = true
	case keeperNone:
	default:
		return c, usage("--keeper %s: %w", f.keeper, errKeeper)
	}
	return c, nil
}

// withoutTime is for the journal, which has its own.
func withoutTime(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return attr
}
