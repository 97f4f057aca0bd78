package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goSource is the source tree of the Go installation.
func goSource(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w (choose another tree with --dir)", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}

// listTree lists the regular files below dir by absolute path.
func listTree(dir string) ([]string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s has no regular file to measure", root)
	}
	return paths, err
}

// writeList writes the paths for the producer, each ended by a NUL, which no path
// contains. A file's index in the list is its number on the board.
func writeList(name string, paths []string) error {
	return os.WriteFile(name, []byte(strings.Join(paths, "\x00")+"\x00"), 0o600)
}

// readList reads what writeList wrote.
func readList(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00"), nil
}
