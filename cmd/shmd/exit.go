package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/shmd/shmd/status"
)

// Exit codes; 69, 75 and 78 are those of sysexits.h, 126 and 127 those of shells.
const (
	exitOK            = 0
	exitFailure       = 1
	exitUsage         = 2
	exitUnavailable   = 69
	exitTemporary     = 75
	exitConfig        = 78
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalled     = 128 // plus the signal
)

// exitError is an error with an exit code of its own. Without an error inside,
// nothing is printed: whoever failed has said why.
type exitError struct {
	code int
	err  error
}

// Error is the inner error's text.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

// Unwrap yields the inner error.
func (e *exitError) Unwrap() error { return e.err }

// usage is a mistake in the arguments.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode is what the process ends with.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	}
	switch status.Of(err) {
	case status.WouldBlock, status.TimedOut:
		return exitTemporary
	}
	return exitFailure
}

// errorDocument is an error as --json shows it.
type errorDocument struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code int32  `json:"code"`
	Name string `json:"name"`
	Text string `json:"text"`
}

// report writes an error to stderr, each of several on its own.
func (a *app) report(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		if _, single := err.(*status.Error); !single {
			for _, e := range several.Unwrap() {
				a.report(e)
			}
			return
		}
	}
	if e, ok := err.(*exitError); ok && e.err == nil {
		return
	}
	if !a.json {
		fmt.Fprintf(a.stderr, "shmd: %v\n", err)
		return
	}
	code := status.Of(err)
	if exitCode(err) == exitUsage {
		code = status.Invalid
	}
	text, failed := json.Marshal(errorDocument{errorBody{int32(code), code.Name(), err.Error()}})
	if failed != nil {
		text = []byte(failed.Error())
	}
	fmt.Fprintf(a.stderr, "%s\n", text)
}

// warn tells something that is no failure.
func (a *app) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !a.json {
		fmt.Fprintf(a.stderr, "shmd: warning: %s\n", text)
		return
	}
	line, err := json.Marshal(map[string]string{"warning": text})
	if err != nil {
		line = []byte(err.Error())
	}
	fmt.Fprintf(a.stderr, "%s\n", line)
}

// on names the object in an error that does not.
func on(name string, err error) error {
	if e, ok := err.(*status.Error); ok && e.Object == "" {
		return e.On(name)
	}
	return err
}
