package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/shmd/shmd/tests/measure"
)

// The rival of put and take over the socket: a list of Redis, without persistence, over a
// Unix socket.

const redisList = "bench"

type redisRival struct {
	cmd    *exec.Cmd
	dir    string
	client *redis.Client

	version string
}

// startRedis runs a server of its own. errNoRedis: there is none to run.
func startRedis(ctx context.Context) (_ *redisRival, err error) {
	path, err := measure.LookRedis()
	if err != nil {
		return nil, err
	}
	r := new(redisRival)
	if r.dir, err = os.MkdirTemp("", "shmd-bench"); err != nil {
		return nil, err
	}
	socket := filepath.Join(r.dir, "redis.sock")
	r.cmd = exec.CommandContext(ctx, path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
		"--loglevel", "warning", "--dir", r.dir)
	r.cmd.Args[0] = "redis-server"
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.dir))
	}
	r.client = redis.NewClient(&redis.Options{Network: "unix", Addr: socket, PoolSize: 1})
	for {
		var info string
		if info, err = r.client.Info(ctx, "server").Result(); err == nil {
			r.version = measure.Field(info, "redis_version")
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, errors.Join(err, r.stop())
		}
	}
}

func (r *redisRival) stop() error {
	return errors.Join(r.client.Close(), r.cmd.Process.Signal(syscall.SIGTERM), r.cmd.Wait(), os.RemoveAll(r.dir))
}

// pushAndPop makes 16 calls at once: 8 messages in, and the same out.
func (r *redisRival) pushAndPop(ctx context.Context, first int) error {
	calls := r.client.Pipeline()
	var pops []*redis.StringCmd
	for i := range depth / 2 {
		message := make([]byte, messageBytes) // kept until Exec
		binary.LittleEndian.PutUint64(message, uint64(first+i))
		calls.LPush(ctx, redisList, message)
		pops = append(pops, calls.RPop(ctx, redisList))
	}
	if _, err := calls.Exec(ctx); err != nil {
		return err
	}
	var got sums
	for _, pop := range pops {
		message, err := pop.Bytes()
		if err != nil {
			return err
		}
		got.add(message)
	}
	return got.check(first)
}
