"""A whole client in a socket and msgpack: what any language can do."""

import os
import socket

import msgpack


class Daemon:
    """One call at a time, as wire/PROTOCOL.md says."""

    def __init__(self, path=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path or os.environ["SHMD_SOCKET"])
        self.unpacker = msgpack.Unpacker()
        self.id = 0
        self.call("hello", 1, 1, os.urandom(16), "daemon.py")

    def call(self, method, *params):
        """The method's result. RuntimeError says what went wrong, and what to do."""
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
