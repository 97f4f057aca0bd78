package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

func (a *app) newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Long: `Show the version of this program, of the protocol it speaks, and of the layout of
shared memory it knows. shmd status shows the version of the daemon that runs.`,
		Example: `shmd version
shmd version --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.emit(document{{"version", daemon.Version}, {"protocol", wire.VersionMax},
					{"abi_version", shm.ABIVersion}, {"abi_fingerprint", shm.ABIFingerprint},
					{"go", runtime.Version()}})
			}
			return a.printf("%s (protocol %d, layout %d, %s)\n", daemon.Version, wire.VersionMax, shm.ABIVersion,
				runtime.Version())
		},
	}
}
