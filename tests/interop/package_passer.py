"""Passes an anonymous value on by a ticket, and exits, as c/passer.c does."""

import sys

import shmd


def give(client, timeout_ns):
    value = shmd.Value.create(client, None, "i", init=42)
    timeout = int(timeout_ns) / 1e9 or None
    print(value.id, value.ticket(timeout).hex())


def take(client, identity, secret):
    ticket = bytes.fromhex(secret)
    is_now = shmd.Value.open(client, id=int(identity), ticket=ticket).load()
    try:
        shmd.Value.open(client, id=int(identity), ticket=ticket)
    except shmd.Error as error:
        print(f"{is_now}, then {error.name}")


try:
    {"give": give, "take": take}[sys.argv[1]](shmd.connect(), *sys.argv[2:])
except shmd.Error as error:
    print(f"{error.name}: {error}")
