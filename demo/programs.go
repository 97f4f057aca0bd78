package main

import (
	_ "embed" // the workers that are scripts
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

//go:embed worker.py
var pythonWorker []byte

//go:embed worker.sh
var shellWorker []byte

// programs are the commands of a run.
type programs struct {
	shmd     string
	producer []string
	workers  map[string][]string // by language
	// For all of these, arguments follow.
}

// findPrograms looks where the Makefile says it built things, else beside this
// executable. dir is for the scripts.
func findPrograms(dir string) (p programs, err error) {
	self, err := os.Executable()
	if err != nil {
		return p, err
	}
	bin := filepath.Dir(self)
	build := setting("SHMD_BUILD", filepath.Join(bin, "..", "build"))
	python := setting("SHMD_PYTHON", filepath.Join(build, "venv", "bin", "python"))
	p.shmd = setting("SHMD_BIN", filepath.Join(bin, "shmd"))
	pythonScript, shellScript := filepath.Join(dir, "worker.py"), filepath.Join(dir, "worker.sh")
	p.producer = []string{self, "producer"}
	p.workers = map[string][]string{
		"go":     {self, "worker"},
		"c":      {filepath.Join(build, "demo", "c", "worker")},
		"python": {python, pythonScript},
		"shell":  {"sh", shellScript},
	}
	for _, needed := range []string{p.shmd, p.workers["c"][0], python} {
		if _, err := os.Stat(needed); err != nil {
			return p, fmt.Errorf("%w: `make demo` builds everything", err)
		}
	}
	return p, errors.Join(os.WriteFile(pythonScript, pythonWorker, 0o600),
		os.WriteFile(shellScript, shellWorker, 0o600))
}

func setting(variable, fallback string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return fallback
}

// worker is the command line of a worker.
func (p *programs) worker(language string, number int, victim bool) []string {
	line := append(slices.Clone(p.workers[language]), strconv.Itoa(number))
	if victim {
		line = append(line, "victim")
	}
	return line
}
