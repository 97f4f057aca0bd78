package main

import (
	_ "embed" // the Python worker
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

//go:embed worker.py
var pythonWorker []byte

// programs are the commands of a run.
type programs struct {
	shmd    string
	workers map[string][]string // by language; arguments follow
}

// findPrograms looks where the Makefile says it built things, else beside this
// executable. dir is for the script of the Python worker.
func findPrograms(dir string) (p programs, err error) {
	self, err := os.Executable()
	if err != nil {
		return p, err
	}
	bin := filepath.Dir(self)
	build := setting("SHMD_BUILD", filepath.Join(bin, "..", "build"))
	python := setting("SHMD_PYTHON", filepath.Join(build, "venv", "bin", "python"))
	p.shmd = setting("SHMD_BIN", filepath.Join(bin, "shmd"))
	script := filepath.Join(dir, "worker.py")
	p.workers = map[string][]string{
		"go":     {self, "worker"},
		"c":      {filepath.Join(build, "demo", "c", "worker")},
		"python": {python, script},
	}
	for _, needed := range []string{p.shmd, p.workers["c"][0], python} {
		if _, err := os.Stat(needed); err != nil {
			return p, fmt.Errorf("%w: `make demo` builds everything", err)
		}
	}
	return p, os.WriteFile(script, pythonWorker, 0o600)
}

func setting(variable, fallback string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return fallback
}

// worker is the command line of a worker.
func (p *programs) worker(language, list string, number, workers int, victim bool) []string {
	line := append([]string{}, p.workers[language]...)
	line = append(line, list, strconv.Itoa(number), strconv.Itoa(workers))
	if victim {
		line = append(line, "victim")
	}
	return line
}
