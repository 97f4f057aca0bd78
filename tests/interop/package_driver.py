#!/usr/bin/env python3
"""Speaks the line protocol of tests/interop (doc.go) with the Python package."""

import sys

import msgpack
import shmd
from lines import inhex, parse, serve, show, told, truth, unhex

NS_PER_SECOND = 1_000_000_000

# The class of each kind.
CLASSES = {
    "value": shmd.Value,
    "array": shmd.Array,
    "mutex": shmd.Mutex,
    "rwlock": shmd.RWLock,
    "semaphore": shmd.Semaphore,
    "event": shmd.Event,
    "condition": shmd.Condition,
    "barrier": shmd.Barrier,
    "queue": shmd.Queue,
    "stream": shmd.Stream,
    "pipe": shmd.Pipe,
}

# The options that the values of create are.
OPTIONS = {
    "semaphore": ("initial", "maximum"),
    "queue": ("maxsize", "slot_size", "deliveries_max", "message_max", "lease_timeout"),
    "stream": ("capacity", "message_max"),
    "pipe": ("capacity", "message_max"),
}

# The bits of a barrier's reasons, in the order of their names.
REASONS = {
    "timeout": shmd.BROKEN_BY_TIMEOUT,
    "abort": shmd.BROKEN_BY_ABORT,
    "death": shmd.BROKEN_BY_DEATH,
    "action": shmd.BROKEN_BY_ACTION,
}

ENDS = {"a": 0, "b": 1, "any": None}


def seconds(ns):
    """A timeout as the package has it."""
    return None if int(ns) < 0 else int(ns) / NS_PER_SECOND


class Slot:
    """An open object."""

    def __init__(self, handle):
        self.handle = handle
        self.leases = {}  # by number
        self.reservation = None

    def at(self, index):
        """The arguments before those of an operation on an item."""
        return (int(index),) if isinstance(self.handle, shmd.Array) else ()

    def lease(self, lease):
        """A lease to texts; kept for its end."""
        self.leases[str(lease.number)] = lease
        return [lease.number, lease.deliveries, inhex(lease)]


class Driver:
    def __init__(self, path):
        self.client = shmd.connect(path, software="interop package")
        self.slots = {}

    def obey(self, verb, *words):
        do = getattr(self, "do_" + verb)
        if verb in ("create", "open", "close", "destroy", "unlink"):
            return do(*words)
        return do(self.slots[words[0]], *words[1:])

    def do_create(self, name, kind, object_name, code, flags, *values):
        options = self.flags(flags)
        mutex = options.pop("mutex", None)
        options.update((key, int(value)) for key, value in zip(OPTIONS.get(kind, ()), values))
        if kind == "queue" and "lease_timeout" in options:
            options["lease_timeout"] = options["lease_timeout"] / NS_PER_SECOND or None
        positional = ()
        if kind == "condition":
            positional = (mutex,)
        elif kind == "barrier":
            positional = (int(values[0]),)
        elif kind in ("value", "array"):
            items = [parse(code, text) for text in values]
            positional = (code,) if kind == "value" else (code, len(items))
            options["init"] = items[0] if kind == "value" else items
            if mutex is not None:
                options["lock"] = mutex
        self.slots[name] = Slot(CLASSES[kind].create(self.client, object_name, *positional, **options))

    def flags(self, flags):
        options = {}
        for flag in flags.split(","):
            if flag == "nolock":
                options["lock"] = False
            elif flag == "isset":
                options["set"] = True
            elif flag.startswith("@"):
                options["mutex"] = self.slots[flag[1:]].handle
            elif flag != "-":
                options[flag] = True
        return options

    def do_open(self, name, kind, object_name, access):
        options = {"read_only": True} if access == "r" else {"party": True} if access == "party" else {}
        handle = CLASSES[kind].open(self.client, object_name, **options)
        self.slots[name] = Slot(handle)
        if kind == "value":
            return handle.code, 1
        return (handle.code, len(handle)) if kind == "array" else ("-", 0)

    def do_close(self, name):
        self.slots.pop(name).handle.close()

    def do_destroy(self, object_name):
        self.client.destroy(object_name)

    def do_unlink(self, object_name):
        self.client.unlink(object_name)

    def do_load(self, slot, index):
        return (show(slot.handle.code, slot.handle.load(*slot.at(index))),)

    def do_store(self, slot, index, text):
        slot.handle.store(*slot.at(index), parse(slot.handle.code, text))

    def do_add(self, slot, index, text):
        code = slot.handle.code
        return (show(code, slot.handle.fetch_add(*slot.at(index), parse(code, text))),)

    def do_exchange(self, slot, index, text):
        code = slot.handle.code
        return (show(code, slot.handle.exchange(*slot.at(index), parse(code, text))),)

    def do_cas(self, slot, index, expected, desired):
        code = slot.handle.code
        swapped, before = slot.handle.compare_exchange(
            *slot.at(index), parse(code, expected), parse(code, desired)
        )
        return truth(swapped), show(code, before)

    def do_read(self, slot, start, count):
        snapshot = slot.handle.read(int(start), int(count))
        texts = [show(slot.handle.code, item) for item in snapshot]
        return ["dirty"] * snapshot.owner_died + texts

    def do_write(self, slot, start, *texts):
        slot.handle.write([parse(slot.handle.code, text) for text in texts], int(start))

    def do_lock(self, slot, timeout):
        lock = slot.handle.write_lock if isinstance(slot.handle, shmd.RWLock) else slot.handle.lock
        return told(lock(seconds(timeout)))

    def do_unlock(self, slot):
        (slot.handle.write_unlock if isinstance(slot.handle, shmd.RWLock) else slot.handle.unlock)()

    def do_mark(self, slot):
        slot.handle.mark_consistent()

    def do_begin(self, slot):
        slot.handle.begin_write()

    def do_end(self, slot):
        slot.handle.end_write()

    def do_version(self, slot):
        return (slot.handle.version(),)

    def do_wait(self, slot, version, timeout):
        return (slot.handle.wait_change(int(version), seconds(timeout)),)

    def do_acquire(self, slot, count, timeout):
        slot.handle.acquire(int(count), seconds(timeout))

    def do_release(self, slot, count):
        slot.handle.release(int(count))

    def do_post(self, slot, count):
        slot.handle.post(int(count))

    def do_permits(self, slot):
        permits = slot.handle.permits()
        return permits.available, permits.total, permits.held

    def do_put(self, slot, text, timeout):
        slot.handle.put(unhex(text), seconds(timeout))

    def do_putvalue(self, slot, text, timeout):
        slot.handle.put(msgpack.packb(msgpack.unpackb(unhex(text), strict_map_key=False)), seconds(timeout))

    def do_take(self, slot, timeout):
        return (inhex(slot.handle.take(seconds(timeout))),)

    def do_takevalue(self, slot, timeout):
        value = msgpack.unpackb(slot.handle.take(seconds(timeout)), strict_map_key=False)
        return (inhex(msgpack.packb(value)),)

    def do_putmany(self, slot, texts, timeout):
        return (slot.handle.put_many([unhex(text) for text in texts.split(",")], seconds(timeout)),)

    def do_takemany(self, slot, most, timeout):
        return (",".join(map(inhex, slot.handle.take_many(int(most), seconds(timeout)))),)

    def do_join(self, slot, timeout):
        slot.handle.join(seconds(timeout))

    def do_lease(self, slot, timeout):
        return slot.lease(slot.handle.lease(seconds(timeout)))

    def do_takedead(self, slot):
        return slot.lease(slot.handle.take_dead())

    def do_ack(self, slot, number):
        slot.leases[number].ack()

    def do_nack(self, slot, number):
        slot.leases[number].nack()

    def do_leasemany(self, slot, most, timeout):
        leases = slot.handle.lease_many(int(most), seconds(timeout))
        return [word for lease in leases for word in slot.lease(lease)]

    def do_ackmany(self, slot, numbers):
        return self.end_many(slot, slot.handle.ack_many, numbers.split(","))

    def do_nackmany(self, slot, numbers):
        return self.end_many(slot, slot.handle.nack_many, numbers.split(","))

    def end_many(self, slot, end, numbers):
        try:
            return (end([slot.leases[number] for number in numbers]),)
        except shmd.NotOwner as error:
            return error.count, "NOT_OWNER"

    def do_extend(self, slot, number, ns):
        slot.leases[number].extend(int(ns) / NS_PER_SECOND)

    def do_redeliver(self, slot):
        return (slot.handle.redeliver(),)

    def do_shutdown(self, slot):
        slot.handle.shutdown()

    def do_counts(self, slot):
        counts = slot.handle.counts()
        return *counts[:5], truth(counts.closed)

    def do_reserve(self, slot, size, timeout):
        slot.reservation = slot.handle.reserve(int(size), seconds(timeout))

    def do_commit(self, slot, text):
        message = unhex(text)
        try:
            with memoryview(slot.reservation) as view:
                view[: len(message)] = message
        except BufferError:  # it has ended, and this is not the first commit
            pass
        slot.reservation.commit(len(message))

    def do_abort(self, slot):
        (slot.handle if isinstance(slot.handle, shmd.Barrier) else slot.reservation).abort()

    def do_signal(self, slot):
        slot.handle.set()

    def do_reset(self, slot):
        return told(slot.handle.reset())

    def do_pulse(self, slot):
        slot.handle.pulse()

    def do_isset(self, slot):
        return (truth(slot.handle.is_set()),)

    def do_await(self, slot, timeout):
        return told(slot.handle.wait(seconds(timeout)))

    def do_notify(self, slot, count):
        if int(count) == 0:
            slot.handle.notify_all()
        else:
            slot.handle.notify(int(count))

    def do_arrive(self, slot, timeout):
        return (slot.handle.wait(seconds(timeout)),)

    def do_act(self, slot, timeout, outcome):
        ran = []

        def action():
            ran.append(True)
            if outcome == "fail":
                raise shmd.Broken

        index = slot.handle.wait(seconds(timeout), action)
        return index, truth(ran)

    def do_state(self, slot):
        state = slot.handle.state()
        reasons = [reason for reason, bit in REASONS.items() if state.reasons & bit]
        return state.waiting, ",".join(reasons) or "-", state.generation

    def do_readlock(self, slot, timeout):
        return told(slot.handle.read_lock(seconds(timeout)))

    def do_readunlock(self, slot):
        slot.handle.read_unlock()

    def do_claim(self, slot, role):
        if isinstance(slot.handle, shmd.Pipe):
            return ("ab"[slot.handle.claim(ENDS[role])],)
        slot.handle.claim(role)
        return (role,)

    def do_retire(self, slot, role):
        if isinstance(slot.handle, shmd.Pipe):
            slot.handle.shut(ENDS[role])
        else:
            slot.handle.retire(role)

    def do_send(self, slot, text, timeout):
        slot.handle.send(unhex(text), seconds(timeout))

    def do_sendmany(self, slot, timeout, *texts):
        return (slot.handle.send_many([unhex(text) for text in texts], seconds(timeout)),)

    def do_recv(self, slot, timeout):
        return (inhex(slot.handle.recv(seconds(timeout))),)

    def do_recvmany(self, slot, most, timeout):
        return [inhex(message) for message in slot.handle.recv_many(int(most), seconds(timeout))]

    def do_writebytes(self, slot, text, timeout):
        return (slot.handle.write(unhex(text), seconds(timeout)),)

    def do_readbytes(self, slot, most, timeout):
        return (inhex(slot.handle.read(int(most), seconds(timeout))),)


if __name__ == "__main__":
    serve(Driver(sys.argv[1]).obey, shmd.Error, lambda error: error.name)
