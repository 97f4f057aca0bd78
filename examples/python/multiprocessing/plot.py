"""plot.py FILE: plots the array example/curve, which examples/c/curve.c fills, into a PNG.

The memory is the array's own: nothing is copied to be plotted.
"""

import struct
import sys
import zlib

import shmd

HEIGHT = 200
INK, PAPER = 0, 255


def png(rows):
    """A greyscale PNG of rows of bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    size = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def plot(curve):
    """Rows of pixels: a column for each element, from -1 at the bottom to 1 at the top."""
    rows = [bytearray([PAPER]) * len(curve) for _ in range(HEIGHT)]
    before = None
    for x, y in enumerate(curve):
        row = round((1 - y) / 2 * (HEIGHT - 1))
        for filled in range(min(row, row if before is None else before), max(row, before or row) + 1):
            rows[filled][x] = INK
        before = row
    return rows


if __name__ == "__main__":
    with shmd.connect() as client:
        curve = memoryview(shmd.Array.open(client, "example/curve", "d", read_only=True))
        with open(sys.argv[1], "wb") as file:
            file.write(png(plot(curve)))
        print(f"plotted {len(curve)} elements into {sys.argv[1]}")
