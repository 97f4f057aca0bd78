package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/daemon/keeper"
	"github.com/shmd/shmd/wire"
)

const keeperLong = `Hold what a daemon needs to go on after its own death: the memory of all objects, and the
journal that says what they are. shmd serve starts a keeper when there is none; there is
one for each socket, and it serves nobody but the daemon there, of the same user.

A keeper ends when it is told to, and when its daemon is gone and it holds nothing. With
--supervised it stays then: for a supervisor that starts it before the daemon, which is
started with --keeper=external.

--stop gives up everything that the keeper of a daemon that is gone holds: names are
lost, and memory is freed once nobody has it mapped. It refuses while a daemon runs.`

func (a *app) newKeeper() *cobra.Command {
	var supervised, stop bool
	readyFD := -1
	cmd := &cobra.Command{
		Use:   "keeper",
		Short: "Hold a daemon's memory while it restarts",
		Long:  keeperLong,
		Example: `shmd keeper --supervised
shmd keeper --stop`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket := keeper.Path(a.serveSocket())
			if stop {
				ctx, cancel := context.WithTimeout(cmd.Context(), shutdownPatience)
				defer cancel()
				return keeper.Quit(ctx, socket)
			}
			readyTo, err := givenFile("--ready-fd", readyFD)
			if err != nil {
				return err
			}
			ctx, cancel := signal.NotifyContext(cmd.Context(), unix.SIGTERM, unix.SIGINT)
			defer cancel()
			log := slog.New(slog.NewTextHandler(a.stderr, nil))
			return keeper.Run(ctx, keeper.Config{Socket: socket, Supervised: supervised, Logger: log,
				Ready: func() error {
					tell(ready, log)
					return announce(readyTo)
				}})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&supervised, "supervised", false, "stay when there is nothing to hold")
	flags.BoolVar(&stop, "stop", false, "end the keeper of a daemon that is gone, and give up what it holds")
	flags.IntVar(&readyFD, "ready-fd", -1, "descriptor `N` to write \"ready\" to; -1 is none")
	return cmd
}

// serveSocket is the socket that serve listens on.
func (a *app) serveSocket() string {
	if a.socket != "" {
		return a.socket
	}
	return wire.SocketPaths()[0]
}

// keeperCommand starts a keeper of this program, even if the file was replaced by a newer
// one since.
func keeperCommand(socket string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", "keeper", "--socket", socket, "--ready-fd", strconv.Itoa(3))
		cmd.Args[0], cmd.Env = os.Args[0], []string{}
		return cmd
	}
}

// keepers are the values of --keeper.
const (
	keeperStart    = "start"
	keeperExternal = "external"
	keeperNone     = "none"
)

var errKeeper = errors.New("want start, external or none")
