#!/usr/bin/env python3
"""Speaks the line protocol of tests/interop (doc.go) with a socket and msgpack,
and nothing of shmd's: what any language can do from wire/PROTOCOL.md alone."""

import os
import socket
import sys

import msgpack


class Refused(Exception):
    """The daemon answered with an error; the argument is its name."""


class Connection:
    """One MessagePack-RPC connection, one call at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.unpacker = msgpack.Unpacker(raw=False)
        self.last = 0
        self.call("hello", 1, 1, os.urandom(16), "interop Python")

    def call(self, method, *params):
        self.last += 1
        self.socket.sendall(msgpack.packb([0, self.last, method, params]))
        while True:
            for message in self.unpacker:
                kind, identity, error, result = message
                if kind != 1 or identity != self.last:
                    raise RuntimeError(f"unexpected message {message!r}")
                if error is not None:
                    raise Refused(error[1])
                return result
            received = self.socket.recv(65536)
            if not received:
                raise RuntimeError("the daemon closed the connection")
            self.unpacker.feed(received)


class Slot:
    """An open object. Whatever its lock, it is locked through its own handle."""

    def __init__(self, attachment):
        self.handle = attachment["handle"]
        self.identity = attachment["id"]
        self.code = attachment["code"]
        self.length = attachment["length"]


def parse(code, text):
    """Text to what the wire wants for a type code."""
    if code == "c":
        return bytes([int(text[2:], 16)]) if text.startswith("\\x") else text.encode()
    if code == "u":
        return chr(int(text[2:], 16)) if text.startswith("U+") else text
    if code == "?":
        return text == "true"
    if code in "fde":
        return float(text)
    return int(text)


def show(code, value):
    """What the wire gives for a type code, to text."""
    if code == "c":
        return f"\\x{value[0]:02x}"
    if code == "u":
        return f"U+{ord(value):04X}"
    if code == "?":
        return "true" if value else "false"
    return repr(value)


def many(code, texts):
    """Texts to the wire's list of elements, which for c is one bin."""
    values = [parse(code, text) for text in texts]
    return b"".join(values) if code == "c" else values


def split(code, values):
    """The wire's list of elements to texts."""
    if code == "c":
        values = [bytes([byte]) for byte in values]
    return [show(code, value) for value in values]


class Driver:
    def __init__(self, path):
        self.connection = Connection(path)
        self.slots = {}

    def obey(self, verb, *words):
        return getattr(self, "do_" + verb)(*words)

    def create_options(self, flags):
        options = {}
        for flag in flags.split(","):
            if flag == "nolock":
                options["lock"] = "none"
            elif flag.startswith("@"):
                options["lock"] = self.slots[flag[1:]].identity
            elif flag != "-":
                options[flag] = True
        return options

    def do_create(self, name, kind, object_name, code, flags, *values):
        options = self.create_options(flags)
        if kind != "mutex":
            options["code"] = code
            options["init"] = parse(code, values[0]) if kind == "value" else many(code, values)
        if kind == "array":
            options["length"] = len(values)
        self.keep(name, self.connection.call("create", object_name, kind, options))

    def keep(self, name, attachment):
        slot = self.slots[name] = Slot(attachment)
        return slot

    def do_open(self, name, kind, object_name, access):
        slot = self.keep(name, self.connection.call("open", object_name, {"kind": kind, "access": access}))
        return slot.code or "-", slot.length

    def do_close(self, name):
        self.connection.call("close", self.slots.pop(name).handle)

    def do_destroy(self, object_name):
        self.connection.call("destroy", object_name)

    def do_unlink(self, object_name):
        self.connection.call("unlink", object_name)

    def do_load(self, name, index):
        slot = self.slots[name]
        return (show(slot.code, self.connection.call("get", slot.handle, int(index))),)

    def do_store(self, name, index, text):
        slot = self.slots[name]
        self.connection.call("set", slot.handle, int(index), parse(slot.code, text))

    def do_add(self, name, index, text):
        slot = self.slots[name]
        before = self.connection.call("add", slot.handle, int(index), parse(slot.code, text))
        return (show(slot.code, before),)

    def do_exchange(self, name, index, text):
        slot = self.slots[name]
        before = self.connection.call("exchange", slot.handle, int(index), parse(slot.code, text))
        return (show(slot.code, before),)

    def do_cas(self, name, index, expected, desired):
        slot = self.slots[name]
        swapped, before = self.connection.call(
            "compare_exchange", slot.handle, int(index), parse(slot.code, expected), parse(slot.code, desired)
        )
        return "true" if swapped else "false", show(slot.code, before)

    def do_read(self, name, start, count):
        slot = self.slots[name]
        result = self.connection.call("read", slot.handle, int(start), int(count))
        return ["dirty"] * result["dirty"] + split(slot.code, result["values"])

    def do_write(self, name, start, *texts):
        slot = self.slots[name]
        self.connection.call("write", slot.handle, int(start), many(slot.code, texts))

    def do_lock(self, name, timeout):
        notice = self.connection.call("lock", self.slots[name].handle, int(timeout))
        return () if notice is None else ("died",)

    def do_unlock(self, name):
        self.connection.call("unlock", self.slots[name].handle)

    def do_mark(self, name):
        self.connection.call("mark_consistent", self.slots[name].handle)

    def do_begin(self, name):
        self.connection.call("begin_write", self.slots[name].handle)

    def do_end(self, name):
        self.connection.call("end_write", self.slots[name].handle)

    def do_version(self, name):
        return (self.connection.call("version", self.slots[name].handle),)

    def do_wait(self, name, version, timeout):
        return (self.connection.call("wait_change", self.slots[name].handle, int(version), int(timeout)),)


def main():
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    driver = Driver(sys.argv[1])
    print("ok")
    for line in sys.stdin:
        verb, *words = line.rstrip("\n").split(" ")
        try:
            answer = [str(word) for word in driver.obey(verb, *words) or ()]
        except Refused as refusal:
            print("error", refusal)
            continue
        if answer and answer[0] in ("died", "dirty"):
            print(*answer)
        else:
            print("ok", *answer)


if __name__ == "__main__":
    main()
