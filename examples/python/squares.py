"""Reads the ten squares over the socket: what any language with msgpack can do."""

import os
import socket

import msgpack


class Daemon:
    """One call at a time, as wire/PROTOCOL.md says."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.unpacker = msgpack.Unpacker()
        self.id = 0
        self.call("hello", 1, 1, os.urandom(16), "squares.py")

    def call(self, method, *params):
        self.id += 1
        self.socket.sendall(msgpack.packb([0, self.id, method, params]))
        while True:
            for _, _, error, result in self.unpacker:
                if error:
                    raise RuntimeError(error[2])
                return result
            received = self.socket.recv(65536)
            if not received:
                raise RuntimeError("the daemon is gone")
            self.unpacker.feed(received)


daemon = Daemon(os.environ["SHMD_SOCKET"])
squares = daemon.call("open", "example/squares")["handle"]
print(daemon.call("read", squares)["values"])
print("the last one was", daemon.call("add", squares, 9, 1000))
