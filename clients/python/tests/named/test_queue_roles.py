"""Who puts and who takes: the queue ends with the last of them."""

import os

import pytest

import shmd
from peers import until


def ended(queue):
    return queue.counts().closed


def test_the_last_producer_retires(client):
    queue = shmd.Queue.create(client, raw=True)
    producer = shmd.Queue.open(client, id=queue.id, role="producer")
    queue.claim("producer")
    queue.claim("producer")  # it has it
    producer.put(b"last")
    queue.retire("producer")
    with pytest.raises(shmd.NotOwner, match=f"queue {queue.id}"):
        queue.retire("producer")
    with pytest.raises(shmd.NotOwner):
        queue.retire("consumer")
    assert not ended(queue)
    producer.close()
    until(lambda: ended(queue), "the end")
    assert queue.take() == b"last"
    with pytest.raises(shmd.Ended):
        queue.take()


def test_the_last_consumer_is_killed(client, peer, name):
    queue = shmd.Queue.create(client, name, raw=True, maxsize=1)
    peer.run(f"queue = shmd.Queue.open(client, {name!r}, role='consumer')")
    queue.put(b"x")
    peer.kill()
    with pytest.raises(shmd.Ended):
        queue.put(b"y")
    client.unlink(name)


def test_a_forked_child_has_what_its_parent_has(client, socket):
    """Both roles of one handle, of which the parent gives one up."""
    watcher = shmd.Queue.create(client, raw=True)
    other = shmd.connect(socket)
    queue = shmd.Queue.open(other, id=watcher.id, role="producer")
    queue.claim("consumer")
    go, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        os.read(go, 1)  # until the parent has closed its end
        os._exit(0)
    os.close(go)
    queue.retire("producer")
    queue.retire("consumer")
    assert not ended(watcher)
    os.close(told)
    os.waitpid(child, 0)
    until(lambda: ended(watcher), "the end")


def test_a_ticket_holds_the_end_up(client):
    queue = shmd.Queue.create(client, raw=True)
    queue.claim("producer")
    ticket = queue.ticket()
    queue.retire("producer")
    assert not ended(queue)
    heir = shmd.Queue.open(client, id=queue.id, ticket=ticket, role="producer")
    assert not ended(queue)
    heir.close()
    until(lambda: ended(queue), "the end")


def test_mistakes(client, name):
    queue = shmd.Queue.create(client, name, raw=True)
    for bad in ("both", None, 1, b"producer"):
        with pytest.raises(ValueError, match="'producer' or 'consumer'"):
            queue.claim(bad)
    with pytest.raises(ValueError):
        shmd.Queue.open(client, name, role="both")
    with pytest.raises(TypeError):
        shmd.Event.open(client, name, role="producer")
    reader = shmd.Queue.open(client, name, read_only=True)
    with pytest.raises(shmd.Permission):
        reader.claim("consumer")
    client.destroy(name)
    with pytest.raises(shmd.Removed):
        queue.claim("producer")
