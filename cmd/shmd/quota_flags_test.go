package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuotaUser(t *testing.T) {
	got, err := parseQuotaUsers([]string{"7:objects=5,bytes=2M", "root:waiting=1", "7:buffer_bytes=1K,objects=6"})
	want := userLimits{7: {Objects: 6, Bytes: 2 << 20, BufferBytes: 1 << 10}, 0: {Waiting: 1}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "7", "no-such-user:objects=1", "7:", "7:objects", "7:objects=", "7:objects=0",
		"7:objects=-1", "7:things=1", "7:descriptors=1", "7:zombies=1", "-1:objects=1"} {
		if _, err := parseQuotaUsers([]string{text}); exitCode(err) != exitUsage {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

// Limits of single users in the file and by flag: each flag comes before the file.
func TestQuotaUserConfiguration(t *testing.T) {
	t.Setenv("SHMD_SOCKET", filepath.Join(t.TempDir(), "s"))
	path := configured(t, "[quota]\nhandles = 9\n[quota.user.root]\nobjects = 5\nbytes = \"2M\"\n"+
		"[quota.user]\n7 = {buffer_bytes = 1024}\n[limits]\nmemory = \"512M\"\n")
	got := must(t, "serve", "--check-config", "--config", path, "--quota-user", "0:objects=6,seats=1")
	for _, want := range []struct{ key, value, from string }{
		{"quota.user.0.objects", "6", "--quota-user"}, {"quota.user.0.seats", "1", "--quota-user"},
		{"quota.user.0.bytes", "2097152", path + ":5"}, {"quota.user.7.buffer_bytes", "1024", path + ":7"},
		{"quota.handles", "9", path + ":2"}, {"limits.memory", "536870912", path + ":9"}} {
		if line := fmt.Sprintf("%-40s # %s\n", want.key+" = "+want.value, want.from); !strings.Contains(got, line) {
			t.Errorf("no %sin\n%s", line, got)
		}
	}
	if strings.Contains(got, "quota.seats") {
		t.Errorf("a default that is a share is shown as a value:\n%s", got)
	}
}
