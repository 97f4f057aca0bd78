package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// configManual is where the configuration file is described.
const configManual = "shmd-serve(1)"

// setting is what a configuration file may say. Most are what a flag says, and taken as that is.
type setting struct {
	// key is its name, tables first; a part "*" is any.
	key  string
	flag string // of the same meaning; "" = none
	// Without a flag: what its value may be, who takes it, and what holds then, nil = what
	// the file says.
	kinds []valueKind
	take  func(f *serveFlags, line *configLine) error
	held  func(f *serveFlags) []settingValue
}

// settings are all there are, in the order of the manual.
var settings = []setting{
	{key: "socket.mode", flag: "socket-mode"},
	{key: "socket.owner", flag: "socket-owner"},
	{key: "limits.memory", flag: "memory"},
	{key: "limits.budget", flag: "budget"},
	{key: "limits.seats_default", flag: "seats-default"},
	{key: "limits.waiting_max", flag: "waiting-max"},
	{key: "quota.bytes", flag: "quota-bytes"},
	{key: "quota.objects", flag: "quota-objects"},
	{key: "quota.connections", flag: "quota-connections"},
	{key: "quota.handles", flag: "quota-handles"},
	{key: "quota.seats", flag: "quota-seats"},
	{key: "quota.tokens", flag: "quota-tokens"},
	{key: "quota.waiting", flag: "quota-waiting"},
	{key: "quota.buffer_bytes", flag: "quota-buffer-bytes"},
	{key: "quota.tickets", flag: "quota-tickets"},
	{key: "quota.user.*.*", kinds: []valueKind{valueInteger, valueString}, take: (*serveFlags).takeUserLimit,
		held: (*serveFlags).userValues},
	{key: "names.own", kinds: []valueKind{valueString}, take: (*serveFlags).takeOwn},
	{key: "names.create.*", kinds: []valueKind{valueList}, take: (*serveFlags).takeRule},
	{key: "log.level", flag: "log-level"},
	{key: "log.json", flag: "log-json"},
}

// is reports whether a key is the setting's.
func (s *setting) is(key []string) bool {
	parts := strings.Split(s.key, ".")
	return slices.EqualFunc(parts, key, func(part, given string) bool { return part == "*" || part == given })
}

// findSetting finds what a line says, nil if that is no setting.
func findSetting(key []string) *setting {
	for i := range settings {
		if settings[i].is(key) {
			return &settings[i]
		}
	}
	return nil
}

// wanted is what a value may be.
func (s *setting) wanted(flags *pflag.FlagSet) []valueKind {
	if s.flag == "" {
		return s.kinds
	}
	switch flags.Lookup(s.flag).Value.Type() {
	case "NUMBER":
		return []valueKind{valueInteger}
	case "SIZE":
		return []valueKind{valueInteger, valueString}
	case "bool":
		return []valueKind{valueBool}
	}
	return []valueKind{valueString}
}

// apply takes what the file says and no flag does. It tries all, and says all that is wrong.
func (f *serveFlags) apply(flags *pflag.FlagSet, file *configFile) error {
	f.flags, f.lines = flags, file.lines
	var wrong []error
	for i := range file.lines {
		line := &file.lines[i]
		if err := f.applyLine(flags, file, line); err != nil {
			number := line.value.number
			var inside *elementError
			if errors.As(err, &inside) {
				number = inside.number
			}
			wrong = append(wrong, file.errorf(number, "%s: %w", keyText(line.key), err))
		}
	}
	for i := range settings {
		if s := &settings[i]; s.flag != "" && flags.Changed(s.flag) {
			f.origins[s.key] = "--" + s.flag
		}
	}
	return errors.Join(wrong...)
}

func (f *serveFlags) applyLine(flags *pflag.FlagSet, file *configFile, line *configLine) error {
	s := findSetting(line.key)
	if s == nil {
		return unknownSetting(line.key)
	}
	if want := s.wanted(flags); !slices.Contains(want, line.value.kind) {
		return fmt.Errorf("this is %s: want %s", line.value.kind, kindsText(want))
	}
	f.origins[keyText(line.key)] = file.path + ":" + strconv.Itoa(line.number)
	if s.flag == "" {
		return s.take(f, line)
	}
	if flags.Changed(s.flag) { // what is overruled is looked at all the same
		flags = pflag.NewFlagSet("", pflag.ContinueOnError)
		(&serveFlags{}).register(flags)
	}
	return flags.Lookup(s.flag).Value.Set(line.value.text)
}

// settingValue is what holds, and from where.
type settingValue struct{ key, text, from string }

// values are what a setting is: one, or as many as its key has matches in the file. A
// default that is no value, but a rule, is none.
func (f *serveFlags) values(s *setting) (all []settingValue) {
	if s.held != nil {
		return s.held(f)
	}
	for _, line := range f.lines {
		if s.flag == "" && s.is(line.key) {
			key := keyText(line.key)
			all = append(all, settingValue{key, line.value.String(), f.origins[key]})
		}
	}
	if s.flag == "" {
		return all
	}
	from := f.origins[s.key]
	flag := f.flags.Lookup(s.flag)
	text := flag.Value.String()
	if from == "" {
		if from = "default"; text == "" || flag.Value.Type() == "SIZE" {
			return nil
		}
	}
	if s.wanted(f.flags)[0] == valueString {
		text = strconv.Quote(text)
	}
	return []settingValue{{s.key, text, from}}
}

func kindsText(kinds []valueKind) string {
	texts := make([]string, len(kinds))
	for i, kind := range kinds {
		texts[i] = string(kind)
	}
	return strings.Join(texts, " or ")
}

// unknownSetting says what there is instead.
func unknownSetting(key []string) error {
	table, known := strings.Join(key[:len(key)-1], "."), []string{}
	for _, s := range settings {
		if at := strings.LastIndexByte(s.key, '.'); s.key[:at] == table {
			known = append(known, s.key[at+1:])
		}
	}
	if len(known) > 0 {
		return fmt.Errorf("there is no such setting: [%s] has %s", table, strings.Join(known, ", "))
	}
	for _, s := range settings {
		if name := "[" + s.key[:strings.LastIndexByte(s.key, '.')] + "]"; !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	return fmt.Errorf("there is no such setting: the tables are %s", strings.Join(known, ", "))
}

// keyText is a key as one writes it.
func keyText(key []string) string {
	texts := make([]string, len(key))
	for i, part := range key {
		texts[i] = part
		if part == "" || strings.Trim(part, bareKey) != "" {
			texts[i] = strconv.Quote(part)
		}
	}
	return strings.Join(texts, ".")
}

const bareKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
