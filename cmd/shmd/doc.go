// Command shmd is the daemon and every tool around it, in one binary.
//
// Each subcommand has a file of its own. Around them: root.go builds the tree,
// exit.go turns errors into exit codes and messages, args.go and flags.go read
// what people type, format.go and value.go write what they read, man.go writes
// the manual pages.
//
// The tools are clients like any other, over the socket only: nothing is mapped,
// so a tool that is killed leaves nothing behind that the daemon would have to
// wait for. `lock`, `acquire`, `take --lease` and `wait` hold what they hold the same
// way, while a command runs (command.go). Messages of queues are JSON here (message.go).
//
// Tests run the tree in-process; nothing below run looks at os.Args or calls
// os.Exit.
package main

//go:generate go run . gen-man ../../docs/man
