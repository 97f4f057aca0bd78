package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// onJournal reports whether out is the journal: its device and inode are what
// $JOURNAL_STREAM says. The variable alone is inherited by whatever a service
// starts with its output redirected.
func onJournal(out io.Writer) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	file, isFile := out.(*os.File)
	if stream == "" || !isFile {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
