package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/shmd/shmd/daemon"
)

// lifeline is what a daemon of one process tree lives by: the reading end of a pipe
// whose writing end the processes of the tree hold.
type lifeline struct {
	file *os.File // nil: there is none
}

// ended sends when the processes that hold the other end are gone, also by SIGKILL, and no
// client is connected any more. Never without a lifeline.
func (l lifeline) ended(server *daemon.Server) <-chan struct{} {
	ended := make(chan struct{})
	if l.file == nil {
		return ended
	}
	go func() {
		_, _ = io.Copy(io.Discard, l.file) // whatever ends it, the tree has let go
		<-server.Deserted()
		close(ended)
	}()
	return ended
}

// tidy removes what a daemon leaves for the next one on its socket: after one with a
// lifeline there is none. The directory goes if nothing else is in it.
func (l lifeline) tidy(socket string) {
	if l.file == nil {
		return
	}
	_ = os.Remove(socket + ".lock")
	_ = os.Remove(filepath.Dir(socket))
}
