"""Files as they break: bytes changed, cut, doubled, filled with what does not belong there."""

import random

MARKS = [
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b'"',
    b",",
    b";",
    b"%",
    b"+",
    b"\xff",
    b"\xef\xbb\xbf",
]
MARKS += [
    b"\xe9",
    "é".encode(),
    "東".encode(),
    b"\\",
    b"{",
    b"[",
    b"}",
    b"]",
    b":",
    b"#",
    b" ",
    b"1900",
]


def mutated(data: bytes, seed: int) -> bytes:
    """The same data with one to eight damages."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 8)):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        kind = rng.randrange(9)
        if kind == 0:
            data = data[:at] + rng.choice(MARKS) + data[at:]
        elif kind == 1:
            data = data[:at] + rng.randbytes(rng.randint(1, 30)) + data[at:]
        elif kind == 2:
            data = data[:at] + rng.randbytes(1) + data[at + 1 :]
        elif kind == 3:
            data = data[:at] + data[min(end, at + 50) :]
        elif kind == 4:
            data = data[: max(at, len(data) // 2)]  # cut off
        elif kind == 5:
            data = data[:at] + data[at : at + 300] + data[at:]
        elif kind == 6:
            data = data[:at] + rng.choice(MARKS) * rng.randint(2, 40) + data[at:]
        elif kind == 7:
            data = data[:at] + rng.choice(MARKS) + data[at + 1 :]
        else:
            data = data.replace(rng.choice(MARKS), rng.choice(MARKS), rng.randint(1, 3))
        data = data or b"\n"
    return data
