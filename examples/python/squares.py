"""Reads the ten squares over the socket."""

from daemon import Daemon

daemon = Daemon()
squares = daemon.call("open", "example/squares")["handle"]
print(daemon.call("read", squares)["values"])
print("the last one was", daemon.call("add", squares, 9, 1000))
