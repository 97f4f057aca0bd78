"""What drivers in Python share of the line protocol (doc.go)."""

import sys


def parse(code, text):
    """Text to what Python has for a type code."""
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
    """The inverse of parse."""
    if code == "c":
        return f"\\x{value[0]:02x}"
    if code == "u":
        return f"U+{ord(value):04X}"
    if code == "?":
        return truth(value)
    return repr(value)


def truth(value):
    return "true" if value else "false"


def unhex(text):
    """Bytes as the commands write them, "-" for none."""
    return b"" if text == "-" else bytes.fromhex(text)


def inhex(message):
    return bytes(message).hex() or "-"


def told(notice):
    """The answer of what may tell of a death."""
    return () if notice is None else ("died",)


def serve(obey, refused, name):
    """Obeys the lines of standard input: obey(verb, *words) gives the words of the answer, or
    raises refused, of which name gives the name."""
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    print("ok")
    for line in sys.stdin:
        verb, *words = line.rstrip("\n").split(" ")
        try:
            answer = [str(word) for word in obey(verb, *words) or ()]
        except refused as refusal:
            print("error", name(refusal))
            continue
        if answer and answer[0] in ("died", "dirty"):
            print(*answer)
        else:
            print("ok", *answer)
