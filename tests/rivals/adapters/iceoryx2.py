#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An adapter of shmd-rivals: iceoryx2's wheel for Python. It does what iceoryx2/ does in Rust: messages are loaned,
written in place and sent without a copy; who spins asks the subscriber again and again, and who sleeps does so on an
event beside it, which the sender notifies of each message."""
import ctypes
import importlib.metadata
import os
import sys

import rival as protocol
from rival import Unsupported, say

# This file has the name of the package.
sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
import iceoryx2  # noqa: E402

_Words = iceoryx2.Slice[ctypes.c_uint64]
_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]


class Iceoryx2Rival(protocol.Rival):
    def __init__(self, argv):
        super().__init__(argv)
        config = iceoryx2.config.default()
        config.global_cfg.root_path = iceoryx2.Path.new(self.dir)
        # Names in shared memory are made of this one and a hash of all that the service is.
        config.global_cfg.prefix = iceoryx2.FileName.new(f"{self.name}_")
        self._words = self.size // 8
        self._node = (iceoryx2.NodeBuilder.new().config(config)
                      .signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
                      .create(iceoryx2.ServiceType.Ipc))
        self.fill = self._fill_first if not self.touch else self._fill if self.in_place else self._fill_copied
        self.look = self._look_first if not self.touch else self._look if self.in_place else self._look_copied

    def channel(self, name):
        """Messages one way: nothing is lost when the receiver is slow, and as many fit as in any other queue."""
        return (self._node.service_builder(iceoryx2.ServiceName.new(name)).publish_subscribe(_Words)
                .enable_safe_overflow(False).history_size(0)
                .subscriber_max_buffer_size(self.queue_max).subscriber_max_borrowed_samples(1)
                .max_publishers(max(2, self.producers)).max_subscribers(max(2, self.processes))
                .max_nodes(max(self.processes, self.producers + self.consumers) + 2).open_or_create())

    def _event(self, name):
        return (self._node.service_builder(iceoryx2.ServiceName.new(name)).event()
                .max_notifiers(max(2, self.producers)).max_listeners(2)
                .max_nodes(self.producers + self.consumers + 2).event_id_max_value(1).open_or_create())

    def sender(self, name):
        """A function that sends the message of a number."""
        publisher = (self.channel(name).publisher_builder().initial_max_slice_len(self._words).max_loaned_samples(1)
                     .backpressure_strategy(iceoryx2.BackpressureStrategy.RetryUntilDelivered).create())
        notifier = None if self.spins else self._event(name).notifier_builder().create()
        loan, words, fill = publisher.loan_slice_uninit, self._words, self.fill

        def send(number):
            sample = loan(words)
            fill(sample.payload_ptr, number)
            sample.assume_init().send()

        def send_and_notify(number):
            send(number)
            notifier.notify()
        return send if notifier is None else send_and_notify

    def receiver(self, name):
        """A function that receives a message, which shall have that number or ANY."""
        receive = self.channel(name).subscriber_builder().create().receive
        listener = None if self.spins else self._event(name).listener_builder().create()
        look = self.look

        def take(number):
            sample = receive()
            while sample is None:
                if listener is not None:
                    listener.blocking_wait()
                sample = receive()
            look(sample.payload_ptr, number)
            sample.delete()
        return take

    # --- A message, written and read where it is.

    def _fill(self, at, number):
        word = number.to_bytes(8, "little")
        ctypes.memmove(at, word, 8)
        ctypes.memmove(at + 8, self.body, self.size - 16)
        ctypes.memmove(at + self.size - 8, word, 8)

    def _fill_copied(self, at, number):
        ctypes.memmove(at, self.message(number), self.size)

    def _fill_first(self, at, number):
        ctypes.memmove(at, number.to_bytes(8, "little"), 8)

    def _look_copied(self, at, number):
        self.check(ctypes.string_at(at, self.size), number)

    def _look_first(self, at, number):
        self.check_number(int.from_bytes(ctypes.string_at(at, 8), "little"), number)

    def _look(self, at, number):
        self._look_first(at, number)
        if _memcmp(at + 8, self.body, self.size - 16):
            raise SystemExit(f"message {number:x} is damaged")

    def remove_left_over(self):
        """What iceoryx2 leaves in shared memory for the next node with this prefix, which never comes."""
        for name in os.listdir("/dev/shm"):
            if name.startswith(f"{self.name}_") and name.endswith(".global_mgmt"):
                try:
                    os.unlink(f"/dev/shm/{name}")
                except FileNotFoundError:
                    pass  # another process was faster


def _roundtrip(rival):
    out, back = ("there", "back") if rival.role == "ping" else ("back", "there")
    send, receive = rival.sender(out), rival.receiver(back)

    def ping(turns, count):
        for i in turns:
            send(i)
            receive(i)

    def pong(turns, count):
        for i in turns:
            receive(i)
            send(i)
    return ping if rival.role == "ping" else pong


def _oneway(rival):
    if rival.role == "put":
        send, number = rival.sender("way"), rival.index << 48

        def put(turns, count):
            for i in turns:
                send(number | i)
        return put
    receive, expected = rival.receiver("way"), rival.expected

    def take(turns, count):
        for i in turns:
            receive(expected(i))
    return take


def _idle(rival):
    send, receive = rival.sender("way"), rival.receiver("way")

    def wait_with_sender(send=send):
        receive(protocol.ANY)
    return protocol.wait(wait_with_sender)


def _attach(rival):
    """Opens the service and connects a subscriber to the publisher that is there."""
    made = rival.sender("way") if rival.makes else None

    def run(turns, count, made=made):
        for _ in turns:
            rival.channel("way").subscriber_builder().create().delete()
    return run


def _memory(rival):
    """Makes services with a publisher and a subscriber each."""
    kept = []

    def run(turns, count):
        for i in turns:
            kept.append((rival.sender(f"way-{i}"), rival.receiver(f"way-{i}")))
    return run


_WORKS = {"roundtrip": _roundtrip, "oneway": _oneway, "idle": _idle, "attach": _attach, "memory": _memory}


def _start(argv):
    iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
    if argv[0] not in _WORKS:
        raise Unsupported("has no such operation")
    rival = Iceoryx2Rival(argv)
    if rival.workload == "oneway" and rival.consumers > 1:
        raise Unsupported("every subscriber gets every message")
    if rival.workload == "oneway" and rival.batch > 1:
        raise Unsupported("sends one message at a time")
    run = _WORKS[rival.workload](rival)
    say("ready")
    rival.serve(run)
    rival.remove_left_over()


def _describe(keys):
    return (f"iceoryx2 {importlib.metadata.version('iceoryx2')}, {protocol.python()}: publish-subscribe with loans, "
            "an event to sleep on")


if __name__ == "__main__":
    protocol.main(_describe, _start)
