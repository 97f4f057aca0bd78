package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// spaces marks the bytes that stand between words.
var spaces = [256]bool{' ': true, '\t': true, '\n': true, '\v': true, '\f': true, '\r': true}

// measure counts one file, a buffer at a time.
func measure(path string, buffer []byte) (c counts, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	inWord := false
	for {
		n, err := f.Read(buffer)
		c.Bytes += uint64(n)
		for _, b := range buffer[:n] {
			if b == '\n' {
				c.Lines++
			}
			if !spaces[b] && !inWord {
				c.Words++
			}
			inWord = !spaces[b]
		}
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case err != nil:
			return c, fmt.Errorf("measure: %w", err)
		}
	}
}
