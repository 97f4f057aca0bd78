#!/usr/bin/env python3
"""Speaks the line protocol of tests/interop (doc.go) with a socket and msgpack,
and nothing of shmd's: what any language can do from wire/PROTOCOL.md alone."""

import os
import socket
import sys

import msgpack
from lines import inhex, parse, serve, show, told, truth, unhex


class Refused(Exception):
    """The daemon answered with an error; the argument is its name."""


class Raw:
    """A value that is msgpack already."""

    def __init__(self, encoded):
        self.encoded = encoded


class Connection:
    """One MessagePack-RPC connection, one call at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.last = 0
        self.call("hello", 1, 1, os.urandom(16), "interop Python")

    def call_raw(self, method, *params):
        """Makes a call; a parameter that is Raw goes as it is."""
        self.last += 1
        request = bytearray(msgpack.packb([0, self.last, method, []])[:-1])
        request += msgpack.Packer().pack_array_header(len(params))
        for param in params:
            request += param.encoded if isinstance(param, Raw) else msgpack.packb(param)
        self.socket.sendall(request)
        return self.receive()

    def receive(self):
        """The result of the last call, as msgpack."""
        received = b""
        while True:
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError("the daemon closed the connection")
            received += more
            reader = msgpack.Unpacker(strict_map_key=False)
            reader.feed(received)
            try:
                reader.skip()
            except msgpack.OutOfData:
                continue
            break
        reader = msgpack.Unpacker()
        reader.feed(received)
        if reader.read_array_header() != 4 or reader.unpack() != 1 or reader.unpack() != self.last:
            raise RuntimeError(f"unexpected message {received!r}")
        error = reader.unpack()
        if error is not None:
            raise Refused(error[1])
        return received[reader.tell() :]

    def call(self, method, *params):
        return decode(self.call_raw(method, *params))


def decode(encoded):
    return msgpack.unpackb(encoded, strict_map_key=False)


def members(encoded):
    """The values of a map, each still msgpack."""
    reader = msgpack.Unpacker(strict_map_key=False)
    reader.feed(encoded)
    found = {}
    for _ in range(reader.read_map_header()):
        key = reader.unpack()
        start = reader.tell()
        reader.skip()
        found[key] = encoded[start : reader.tell()]
    return found


def elements(encoded):
    """The values of an array, each still msgpack."""
    reader = msgpack.Unpacker(strict_map_key=False)
    reader.feed(encoded)
    found = []
    for _ in range(reader.read_array_header()):
        start = reader.tell()
        reader.skip()
        found.append(encoded[start : reader.tell()])
    return found


class Slot:
    """An open object. Whatever its lock, it is locked through its own handle."""

    def __init__(self, attachment):
        self.handle = attachment["handle"]
        self.kind = attachment["kind"]
        self.identity = attachment["id"]
        self.code = attachment["code"]
        self.length = attachment["length"]
        self.raw = attachment.get("content") == "raw"
        self.leases = {}  # by number

    def message(self, encoded):
        """A message, as it came, to text."""
        return (decode(encoded) if self.raw else encoded).hex() or "-"

    def lease(self, encoded):
        """A lease, as it came, to texts; kept for its end."""
        parts = members(encoded)
        lease = decode(parts["lease"])
        self.leases[str(lease[1])] = lease
        return lease[1], decode(parts["deliveries"]), self.message(parts["message"])


def many(code, texts):
    """Texts to the wire's list of elements, which for c is one bin."""
    values = [parse(code, text) for text in texts]
    return b"".join(values) if code == "c" else values


def split(code, values):
    """The wire's list of elements to texts."""
    if code == "c":
        values = [bytes([byte]) for byte in values]
    return [show(code, value) for value in values]


# The options that the values of create are.
OPTIONS = {
    "semaphore": ("initial", "maximum"),
    "queue": ("maxsize", "slot_size", "deliveries_max", "message_max", "lease_ns"),
    "barrier": ("parties",),
    "stream": ("capacity", "message_max"),
    "pipe": ("capacity", "message_max"),
}


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
            elif flag == "raw":
                options["content"] = "raw"
            elif flag == "isset":
                options["set"] = True
            elif flag.startswith("@"):
                options["lock"] = self.slots[flag[1:]].identity
            elif flag != "-":
                options[flag] = True
        return options

    def do_create(self, name, kind, object_name, code, flags, *values):
        options = self.create_options(flags)
        options.update((key, int(value)) for key, value in zip(OPTIONS.get(kind, ()), values))
        if kind in ("value", "array"):
            options["code"] = code
            options["init"] = parse(code, values[0]) if kind == "value" else many(code, values)
        if kind == "array":
            options["length"] = len(values)
        self.keep(name, self.connection.call("create", object_name, kind, options))

    def keep(self, name, attachment):
        slot = self.slots[name] = Slot(attachment)
        return slot

    def do_open(self, name, kind, object_name, access):
        options = {"kind": kind, "access": access}
        if access == "party":
            options = {"kind": kind, "party": True}
        slot = self.keep(name, self.connection.call("open", object_name, options))
        return slot.code or "-", slot.length if slot.code else 0

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
        return truth(swapped), show(slot.code, before)

    def do_read(self, name, start, count):
        slot = self.slots[name]
        result = self.connection.call("read", slot.handle, int(start), int(count))
        return ["dirty"] * result["dirty"] + split(slot.code, result["values"])

    def do_write(self, name, start, *texts):
        slot = self.slots[name]
        self.connection.call("write", slot.handle, int(start), many(slot.code, texts))

    def do_lock(self, name, timeout):
        return told(self.connection.call("lock", self.slots[name].handle, int(timeout)))

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

    def do_acquire(self, name, count, timeout):
        self.connection.call("acquire", self.slots[name].handle, int(count), int(timeout))

    def do_release(self, name, count):
        self.connection.call("release", self.slots[name].handle, int(count))

    def do_post(self, name, count):
        self.connection.call("post", self.slots[name].handle, int(count))

    def do_permits(self, name):
        permits = self.connection.call("permits", self.slots[name].handle)
        return permits["available"], permits["total"], permits["held"]

    def do_put(self, name, text, timeout):
        slot = self.slots[name]
        message = b"" if text == "-" else bytes.fromhex(text)
        self.connection.call("put", slot.handle, message if slot.raw else Raw(message), int(timeout))

    def do_putvalue(self, name, text, timeout):
        self.connection.call("put", self.slots[name].handle, decode(bytes.fromhex(text)), int(timeout))

    def do_take(self, name, timeout):
        slot = self.slots[name]
        return (slot.message(self.connection.call_raw("take", slot.handle, int(timeout))),)

    def do_takevalue(self, name, timeout):
        return (msgpack.packb(self.connection.call("take", self.slots[name].handle, int(timeout))).hex(),)

    def do_putmany(self, name, texts, timeout):
        slot = self.slots[name]
        messages = [b"" if text == "-" else bytes.fromhex(text) for text in texts.split(",")]
        if not slot.raw:
            messages = [Raw(message) for message in messages]
        return (self.connection.call("put_many", slot.handle, messages, int(timeout)),)

    def do_takemany(self, name, most, timeout):
        messages = self.connection.call("take_many", self.slots[name].handle, int(most), int(timeout))
        return (",".join(message.hex() or "-" for message in messages),)

    def do_join(self, name, timeout):
        self.connection.call("join", self.slots[name].handle, int(timeout))

    def do_lease(self, name, timeout):
        slot = self.slots[name]
        return slot.lease(self.connection.call_raw("lease", slot.handle, int(timeout)))

    def do_takedead(self, name):
        slot = self.slots[name]
        return slot.lease(self.connection.call_raw("take_dead", slot.handle))

    def do_ack(self, name, number):
        self.connection.call("ack", self.slots[name].handle, self.slots[name].leases[number])

    def do_nack(self, name, number):
        self.connection.call("nack", self.slots[name].handle, self.slots[name].leases[number])

    def do_leasemany(self, name, most, timeout):
        slot = self.slots[name]
        answer = self.connection.call_raw("lease_many", slot.handle, int(most), int(timeout))
        return [word for lease in elements(answer) for word in slot.lease(lease)]

    def do_ackmany(self, name, numbers):
        return self.end_many("ack_many", self.slots[name], numbers.split(","))

    def do_nackmany(self, name, numbers):
        return self.end_many("nack_many", self.slots[name], numbers.split(","))

    def end_many(self, method, slot, numbers):
        count = self.connection.call(method, slot.handle, [slot.leases[number] for number in numbers])
        return (count,) if count == len(numbers) else (count, "NOT_OWNER")

    def do_extend(self, name, number, ns):
        self.connection.call("extend", self.slots[name].handle, self.slots[name].leases[number], int(ns))

    def do_redeliver(self, name):
        return (self.connection.call("redeliver", self.slots[name].handle),)

    def do_shutdown(self, name):
        self.connection.call("shutdown", self.slots[name].handle)

    def do_counts(self, name):
        counts = self.connection.call("counts", self.slots[name].handle)
        states = [counts[key] for key in ("ready", "leased", "writing", "free", "dead")]
        return *states, truth(counts["shutdown"])


    def do_signal(self, name):
        self.connection.call("signal", self.slots[name].handle)

    def do_reset(self, name):
        return told(self.connection.call("reset", self.slots[name].handle))

    def do_pulse(self, name):
        self.connection.call("pulse", self.slots[name].handle)

    def do_isset(self, name):
        return (truth(self.connection.call("is_set", self.slots[name].handle)),)

    def do_await(self, name, timeout):
        slot = self.slots[name]
        method = "wait_condition" if slot.kind == "condition" else "wait"
        return told(self.connection.call(method, slot.handle, int(timeout)))

    def do_notify(self, name, count):
        self.connection.call("notify", self.slots[name].handle, int(count))

    def do_arrive(self, name, timeout):
        return (self.connection.call("arrive", self.slots[name].handle, int(timeout))["index"],)

    def do_act(self, name, timeout, outcome):
        handle = self.slots[name].handle
        arrival = self.connection.call("arrive", handle, int(timeout), True)
        if arrival["leader"]:
            self.connection.call("complete", handle, outcome == "ok")
            if outcome == "fail":
                raise Refused("BROKEN")
        return arrival["index"], truth(arrival["leader"])

    def do_abort(self, name):
        self.connection.call("abort", self.slots[name].handle)

    def do_state(self, name):
        state = self.connection.call("barrier", self.slots[name].handle)
        return state["waiting"], ",".join(state["reasons"]) or "-", state["generation"]

    def do_readlock(self, name, timeout):
        return told(self.connection.call("read_lock", self.slots[name].handle, int(timeout)))

    def do_readunlock(self, name):
        self.connection.call("read_unlock", self.slots[name].handle)

    def do_claim(self, name, role):
        return (self.connection.call("claim", self.slots[name].handle, role),)

    def do_retire(self, name, role):
        self.connection.call("retire", self.slots[name].handle, role)

    def do_send(self, name, text, timeout):
        self.connection.call("send", self.slots[name].handle, unhex(text), int(timeout))

    def do_sendmany(self, name, timeout, *texts):
        messages = [unhex(text) for text in texts]
        return (self.connection.call("send_many", self.slots[name].handle, messages, int(timeout)),)

    def do_recv(self, name, timeout):
        return (inhex(self.connection.call("recv", self.slots[name].handle, int(timeout))),)

    def do_recvmany(self, name, most, timeout):
        messages = self.connection.call("recv_many", self.slots[name].handle, int(most), int(timeout))
        return [inhex(message) for message in messages]

    def do_writebytes(self, name, text, timeout):
        return (self.connection.call("write_bytes", self.slots[name].handle, unhex(text), int(timeout)),)

    def do_readbytes(self, name, most, timeout):
        return (inhex(self.connection.call("read_bytes", self.slots[name].handle, int(most), int(timeout))),)


if __name__ == "__main__":
    serve(Driver(sys.argv[1]).obey, Refused, str)
