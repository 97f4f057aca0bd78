package main

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shmd/shmd/daemon"
)

// configured writes a configuration file.
func configured(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "shmd.toml")
	rewrite(t, path, text)
	return path
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each thing that can be wrong is told with its line, and with what would be right.
func TestBadConfiguration(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no TOML", "[quota]\nobjects == 5\n", ":2: "},
		{"an open string", "[log]\n\nlevel = \"info\n", ":3: "},
		{"said twice", "[quota]\nobjects = 1\nobjects = 2\n", ":3: "},
		{"a table twice", "[log]\n[quota]\n[log]\n", ":3: "},
		{"an unknown table", "\n[quotas]\nobjects = 1\n",
			":3: quotas.objects: there is no such setting: the tables are [socket], [limits], [quota]"},
		{"an unknown key", "[quota]\nobject = 1\n",
			":2: quota.object: there is no such setting: [quota] has bytes, objects, connections"},
		{"a key without a table", "objects = 1\n", ":1: objects: there is no such setting: the tables are"},
		{"a list of tables", "[log]\n[[quota]]\nobjects = 1\n", ":2: [[quota]] begins a list"},
		{"in an inline table", "quota = {objects = 1,\n bytes = true}\n",
			":2: quota.bytes: this is true or false: want a number or a string"},
		{"a dotted key", "\nquota.objects = \"1\"\n", ":2: quota.objects: this is a string: want a number"},
		{"a number for a string", "[log]\nlevel = 5\n", ":2: log.level: this is a number: want a string"},
		{"a string for a bool", "[log]\njson = \"yes\"\n", ":2: log.json: this is a string: want true or false"},
		{"a list", "[limits]\nbudget = [\n1]\n", "limits.budget: this is a list: want"},
		{"a float", "[limits]\nbudget = 1.5\n", ":2: limits.budget: this is something else: want"},
		{"no size", "[limits]\nbudget = \"1.5G\"\n", `:2: limits.budget: "1.5G" is no size`},
		{"no mode", "[socket]\nmode = \"0999\"\n", `:2: socket.mode: "0999" is no mode`},
		{"no user", "[socket]\nowner = \"no-such-user\"\n", ":2: socket.owner: user: unknown user no-such-user"},
		{"no level", "[log]\nlevel = \"loud\"\n", `:2: log.level: "loud" is no log level: want debug`},
		{"too much", "[limits]\nseats_default = 5000\n", `:2: limits.seats_default: "5000" is not within 1 to 4094`},
		{"none", "[quota]\nobjects = 0\n", `:2: quota.objects: "0" is not within 1 to`},
		{"a malformed prefix", "[names.create]\n\"a//b\" = []\n", `:2: names.create."a//b": `},
		{"a dotted prefix", "[names.create]\na.b = []\n", ":2: names.create.a.b: there is no such setting"},
		{"nobody of that name", "[names.create]\na = [\n0,\n \"no-such-user\"]\n",
			":4: names.create.a: user: unknown user no-such-user"},
		{"no group", "[names]\ncreate.a = [\"@no-such-group\"]\n", ":2: names.create.a: group: unknown group"},
		{"no user but a list", "[names]\ncreate.a = [[]]\n", ":2: names.create.a: an element is a list: want users"},
		{"one user alone", "[names]\ncreate.a = \"ann\"\n", ":2: names.create.a: this is a string: want a list"},
		{"a limit of nobody", "[quota.user.no-such-user]\nobjects = 1\n",
			":2: quota.user.no-such-user.objects: user: unknown user"},
		{"no limit", "[quota.user.0]\nthings = 1\n",
			":2: quota.user.0.things: there is no limit \"things\": want one of"},
		{"a limit of none", "[quota.user.0]\nobjects = 0\n", ":2: quota.user.0.objects: \"0\" is no limit"},
		{"a limit that is a list", "[quota.user.0]\nobjects = []\n", ":2: quota.user.0.objects: this is a list: want"},
		{"a user twice", "[quota.user]\n0.objects = 1\nroot.objects = 2\n",
			":3: quota.user.root.objects: user 0 has this limit by another name already, from "},
		{"a user without limits", "[quota.user]\n0 = 1\n", ":2: quota.user.0: there is no such setting"},
		{"less", "[quota]\nconnections = -1\n", `:2: quota.connections: "-1" is not within 1 to`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := configured(t, c.text)
			r := invoke(t, "serve", "--check-config", "--config", path)
			if r.code != exitConfig || r.stdout != "" || !strings.Contains(r.stderr, "shmd: "+path+":") ||
				!strings.Contains(r.stderr, c.want) {
				t.Errorf("exit %d, stdout %q, stderr\n%swant %q", r.code, r.stdout, r.stderr, c.want)
			}
		})
	}
	// Everything that is wrong is told at once.
	path := configured(t, "[log]\nlevel = 1\nlow = 2\n[quota]\nbytes = \"x\"\n")
	r := invoke(t, "serve", "--config", path)
	for _, line := range []string{":2: ", ":3: ", ":5: "} {
		if r.code != exitConfig || !strings.Contains(r.stderr, path+line) {
			t.Errorf("exit %d, no %q in\n%s", r.code, line, r.stderr)
		}
	}
	r = invoke(t, "serve", "--config", path+".none")
	if r.code != exitConfig || !strings.Contains(r.stderr, "no such file") {
		t.Errorf("a file that is not there: %+v", r)
	}
	// What a flag overrules must be right all the same.
	path = configured(t, "[log]\nlevel = \"loud\"\n")
	if r := invoke(t, "serve", "--config", path, "--log-level=info"); r.code != exitConfig {
		t.Errorf("overruled: %+v", r)
	}
}

// Flags come before the file, and the file before what is so by default.
func TestPrecedence(t *testing.T) {
	t.Setenv("SHMD_SOCKET", filepath.Join(t.TempDir(), "s"))
	path := configured(t, "quota = {objects = 5, bytes = \"2M\"}\n[socket]\nmode = \"0660\"\n[log]\nlevel = \"WARN\"\n")
	check := []string{"serve", "--check-config", "--config", path, "--quota-objects", "7", "--without", "peerpidfd"}
	lines := map[string]string{}
	for line := range strings.Lines(must(t, check...)) {
		setting, from, _ := strings.Cut(line, "#")
		key, value, _ := strings.Cut(setting, " = ")
		lines[key] = strings.TrimSpace(value) + " " + strings.TrimSpace(from)
	}
	for key, want := range map[string]string{"quota.objects": "7 --quota-objects",
		"quota.bytes": "2097152 " + path + ":1", "socket.mode": `"0660" ` + path + ":3",
		"log.level": `"warn" ` + path + ":5", "quota.connections": "16384 default", "log.json": "false default"} {
		if lines[key] != want {
			t.Errorf("%s is %q, want %q", key, lines[key], want)
		}
	}
	if _, there := lines["limits.budget"]; there {
		t.Error("a default that follows from the machine is shown as a value")
	}
}

// The file that is read without --config belongs to the socket.
func TestDefaultConfiguration(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	for socket, want := range map[string]string{
		"/run/shmd/shmd.sock":                    "/etc/shmd/shmd.toml",
		filepath.Join(dir, "run/shmd/shmd.sock"): filepath.Join(dir, "config/shmd/shmd.toml"),
		filepath.Join(dir, "other.sock"):         "",
	} {
		if got := defaultConfig(socket); got != want {
			t.Errorf("%s has %q, want %q", socket, got, want)
		}
	}
	t.Setenv("SHMD_SOCKET", "")
	if err := os.MkdirAll(filepath.Join(dir, "config/shmd"), 0o700); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(dir, "config/shmd/shmd.toml"), "[quota]\nobjects = 3\n")
	if got := must(t, "serve", "--check-config"); !strings.Contains(got, "quota.objects = 3 ") {
		t.Errorf("the user's file is not read:\n%s", got)
	}
	if got := must(t, "serve", "--check-config", "--config", ""); !strings.Contains(got, "quota.objects = 65536 ") {
		t.Errorf("--config \"\" reads one:\n%s", got)
	}
}

// logFile is what a process logs while it runs.
type logFile struct {
	t    *testing.T
	path string
}

// logTo has the process log to a file.
func (p *process) logTo() *logFile {
	p.t.Helper()
	l := &logFile{p.t, filepath.Join(p.t.TempDir(), "log")}
	f, err := os.Create(l.path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { f.Close() })
	p.Stderr = f
	return l
}

func (l *logFile) text() string {
	l.t.Helper()
	text, err := os.ReadFile(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// has waits until something was logged so often.
func (l *logFile) has(text string, times int) {
	l.t.Helper()
	watchdog := time.Now().Add(time.Minute)
	for strings.Count(l.text(), text) < times {
		if time.Now().After(watchdog) {
			l.t.Fatalf("no %q in\n%s", text, l.text())
		}
		runtime.Gosched()
	}
}

// A reload applies what it can; a file that is wrong changes nothing.
func TestReload(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	t.Setenv("SHMD_SOCKET", socket)
	path := configured(t, "[quota]\nobjects = 1\n[socket]\nmode = \"0600\"\n")
	p := spawn(t, "serve", "--keeper", "none", "--config", path, "--seats-default", "9")
	log := p.logTo()
	p.start()
	log.has("msg=ready", 1)
	must(t, "create", "a", "mutex")
	const full = "has 1 of at most 1 objects"
	if r := invoke(t, "create", "b", "mutex"); !strings.Contains(r.stderr, full) {
		t.Errorf("the quota of the file: %+v", r)
	}

	rewrite(t, path, "[quota]\nobjects = 2\n[socket]\nmode = \"0666\"\n[limits]\nseats_default = 8\n"+
		"[log]\nlevel = \"debug\"\njson = true\n")
	reload := func() {
		t.Helper()
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	reload()
	log.has("configuration read again", 1)
	must(t, "create", "b", "mutex")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	if got := must(t, "stat", "b"); !strings.Contains(got, "of 9") {
		t.Errorf("the flag does not come first:\n%s", got)
	}
	for _, want := range []string{"restart the daemon to change this", "setting=log.json", "level=DEBUG",
		"quota_objects=2", "seats_default=9"} {
		if !strings.Contains(log.text(), want) {
			t.Errorf("no %q in\n%s", want, log.text())
		}
	}

	rewrite(t, path, "[quota]\nobjects = 5\nobject = 5\n[log]\nlevel = 1\n")
	reload()
	log.has("the configuration is not changed", 2)
	if r := invoke(t, "create", "c", "mutex"); !strings.Contains(r.stderr, "has 2 of at most 2 objects") {
		t.Errorf("a file that is wrong was applied: %+v", r)
	}
	for _, want := range []string{path + ":3: quota.object", path + ":5: log.level"} {
		if !strings.Contains(log.text(), want) {
			t.Errorf("no %q in\n%s", want, log.text())
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, _ := p.end(); code != 0 {
		t.Errorf("exit %d, log\n%s", code, log.text())
	}
}

// Users and groups of a rule, by name and number.
func TestNameRules(t *testing.T) {
	path := configured(t, "[names]\nown = \"uid\"\ncreate.\"\" = [\"*\"]\n"+
		"create.\"jobs/a\" = [ \"root\", 1001, \"7\",\n \"@root\", \"@50\" ]\n")
	a := &app{}
	cmd := a.newServe()
	if err := cmd.ParseFlags([]string{"--config", path}); err != nil {
		t.Fatal(err)
	}
	c, err := configure(a, cmd.Flags(), filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	want := daemon.Names{Own: "uid", Rules: []daemon.NameRule{{Everybody: true},
		{Prefix: "jobs/a", UIDs: []uint32{0, 1001, 7}, GIDs: []uint32{0, 50}}}}
	if got := c.config.Names; !reflect.DeepEqual(got, want) {
		t.Errorf("the rules are %+v, want %+v", got, want)
	}
	t.Setenv("SHMD_SOCKET", filepath.Join(t.TempDir(), "s"))
	for _, line := range []string{`names.own = "uid" `, `names.create."" = ["*"] `,
		`names.create."jobs/a" = ["root", 1001, "7", "@root", "@50"] # ` + path + ":4"} {
		if got := must(t, "serve", "--check-config", "--config", path); !strings.Contains(got, line) {
			t.Errorf("no %s in\n%s", line, got)
		}
	}
}
