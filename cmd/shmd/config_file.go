package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/shmd/shmd/wire"
)

// configFile is the configuration file of a daemon, read and not yet understood.
type configFile struct {
	path  string // "" = there is none
	lines []configLine
}

// configLine is one KEY = VALUE, wherever its table begins.
type configLine struct {
	key    []string
	number int // from 1
	value  configValue
}

// configValue is what stands behind a key.
type configValue struct {
	kind   valueKind
	text   string        // of a string without its quotes
	list   []configValue // of an array
	number int           // the line it stands in
}

// String is the value as the file may have it.
func (v configValue) String() string {
	switch v.kind {
	case valueString:
		return strconv.Quote(v.text)
	case valueList:
		texts := make([]string, len(v.list))
		for i, element := range v.list {
			texts[i] = element.String()
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return v.text
}

// valueKind is what kind of value something is.
type valueKind string

// Kinds, as errors name them.
const (
	valueString  valueKind = "a string"
	valueInteger valueKind = "a number"
	valueBool    valueKind = "true or false"
	valueList    valueKind = "a list"
	valueOther   valueKind = "something else"
)

var valueKinds = map[unstable.Kind]valueKind{unstable.String: valueString, unstable.Integer: valueInteger,
	unstable.Bool: valueBool, unstable.Array: valueList}

// defaultConfig is the file of a daemon that nobody has told its file: each of the places
// where clients look for a socket has one. "" = none.
func defaultConfig(socket string) string {
	if socket == wire.SocketSystem {
		return "/etc/shmd/shmd.toml"
	}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" && socket == wire.SocketUser(runtime) {
		if dir, err := os.UserConfigDir(); err == nil {
			return filepath.Join(dir, "shmd", "shmd.toml")
		}
	}
	return ""
}

// errorf says where in the file what is wrong.
func (f *configFile) errorf(line int, format string, args ...any) error {
	return &exitError{exitConfig, fmt.Errorf("%s:%d: %w", f.path, line, fmt.Errorf(format, args...))}
}

// readConfig reads a file. One that is not there is an error if it was asked for.
func readConfig(path string, required bool) (*configFile, error) {
	f := &configFile{path: path}
	if path == "" {
		return f, nil
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !required:
		return &configFile{}, nil
	case err != nil:
		return nil, &exitError{exitConfig, fmt.Errorf("the configuration file: %w", err)}
	}
	return f, f.parse(text)
}

// parse takes the text apart.
func (f *configFile) parse(text []byte) error {
	// What is no TOML, and what is said twice.
	if err := toml.Unmarshal(text, &map[string]any{}); err != nil {
		line := 1
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ = at.Position()
		}
		return f.errorf(line, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	// Where each thing stands is told by the parser alone.
	p := &unstable.Parser{}
	p.Reset(text)
	var table []string
	var wrong []error
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			table, _ = keyOf(p, e)
		case unstable.ArrayTable:
			key, line := keyOf(p, e)
			table = key
			wrong = append(wrong, f.errorf(line, "[[%s]] begins a list of tables, and no setting has one: see %s",
				strings.Join(key, "."), configManual))
		case unstable.KeyValue:
			f.add(p, table, e)
		}
	}
	return errors.Join(wrong...)
}

// keyOf is the key of an expression, and its line.
func keyOf(p *unstable.Parser, e *unstable.Node) (key []string, line int) {
	for it := e.Key(); it.Next(); {
		if line == 0 {
			line = p.Shape(it.Node().Raw).Start.Line
		}
		key = append(key, string(it.Node().Data))
	}
	return key, line
}

// add takes a KEY = VALUE; one whose value is a table is as many as that has.
func (f *configFile) add(p *unstable.Parser, table []string, e *unstable.Node) {
	key, line := keyOf(p, e)
	key = append(slices.Clone(table), key...)
	value := e.Value()
	if value.Kind != unstable.InlineTable {
		f.lines = append(f.lines, configLine{key, line, valueOf(p, value, line)})
		return
	}
	for it := value.Children(); it.Next(); {
		f.add(p, key, it.Node())
	}
}

func valueOf(p *unstable.Parser, n *unstable.Node, line int) configValue {
	if n.Raw.Length > 0 {
		line = p.Shape(n.Raw).Start.Line
	}
	v := configValue{kind: valueKinds[n.Kind], text: string(n.Data), number: line}
	if v.kind == "" {
		v.kind = valueOther
	}
	if n.Kind == unstable.Array {
		for it := n.Children(); it.Next(); {
			v.list = append(v.list, valueOf(p, it.Node(), line))
		}
	}
	return v
}
