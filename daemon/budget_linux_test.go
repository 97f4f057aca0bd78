package daemon

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The limits of control groups are found in both versions, wherever they are mounted, the
// least on the way up; what the kernel would drop counts as available.
func TestCgroupLimits(t *testing.T) {
	const none = math.MaxUint64
	for name, test := range map[string]struct {
		files            map[string]string
		limit, available uint64
	}{
		"none": {limit: none, available: none},
		"version 2": {map[string]string{
			"proc/self/cgroup":                               "0::/a.slice/b.service\n",
			"sys/fs/cgroup/a.slice/memory.max":               "1000\n",
			"sys/fs/cgroup/a.slice/memory.stat":              "anon 5\ninactive_file 100\n",
			"sys/fs/cgroup/a.slice/memory.current":           "700\n",
			"sys/fs/cgroup/a.slice/b.service/memory.max":     "max\n",
			"sys/fs/cgroup/a.slice/b.service/memory.current": "600\n",
		}, 1000, 400},
		"version 2 in a container": {map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.max":     "2000\n",
			"sys/fs/cgroup/memory.current": "2100\n",
		}, 2000, 0},
		"version 2 beside 1": {map[string]string{
			"proc/self/cgroup":                       "3:cpu,cpuacct:/x\n0::/a\n",
			"sys/fs/cgroup/unified/a/memory.max":     "500\n",
			"sys/fs/cgroup/unified/a/memory.current": "100\n",
		}, 500, 400},
		"version 1": {map[string]string{
			"proc/self/cgroup":                               "4:memory:/a/b\n0::/c\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes":   "3000\n",
			"sys/fs/cgroup/memory/a/memory.usage_in_bytes":   "2000\n",
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "4000\n",
			"sys/fs/cgroup/memory/a/b/memory.usage_in_bytes": "1900\n",
			"sys/fs/cgroup/memory/a/b/memory.stat":           "inactive_file 1\ntotal_inactive_file 50\n",
		}, 3000, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range test.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if limit := cgroupLimit(root); limit != test.limit {
				t.Errorf("the limit is %d, want %d", limit, test.limit)
			}
			if available := cgroupAvailable(root); available != test.available {
				t.Errorf("available are %d, want %d", available, test.available)
			}
		})
	}
}
