"""CURVE certificates of ZeroMQ, by which Flux's brokers know each other: made of a TrainJob's uid, so that each build makes the same.

Called by `flux`. The arithmetic is here because the library that has it takes longer to import than it takes to sign a thousand jobs.
Contract: RFC 7748 (X25519), ZeroMQ RFC 32 (Z85), zcert(3) for the file; Trainer 2.3: the secret key is the SHA-256 of the uid.
"""

import hashlib

_P = 2**255 - 19
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def certificate(name: str, uid: str) -> str:
    """The file that all brokers of a job have."""
    secret = hashlib.sha256(uid.encode()).digest()
    lines = [
        "#  ZeroMQ CURVE Secret Certificate",
        "#  Made for a TrainJob",
        "",
        "metadata",
        f'    name = "{name}"',
        "curve",
        f'    public-key = "{z85(public_key(secret))}"',
        f'    secret-key = "{z85(secret)}"',
    ]
    return "\n".join(lines) + "\n"


def public_key(secret: bytes) -> bytes:
    """The X25519 public key of 32 secret bytes: the base point, so many times."""
    scalar = (int.from_bytes(secret, "little") & ~(7 | 1 << 255)) | 1 << 254
    base, x2, z2, x3, z3 = 9, 1, 0, 9, 1
    for bit in range(254, -1, -1):
        one = scalar >> bit & 1
        if one:
            x2, z2, x3, z3 = x3, z3, x2, z2
        plus, minus = (x2 + z2) ** 2 % _P, (x2 - z2) ** 2 % _P
        cross, other = (x3 - z3) * (x2 + z2) % _P, (x3 + z3) * (x2 - z2) % _P
        x3, z3 = (cross + other) ** 2 % _P, base * (cross - other) ** 2 % _P
        x2, z2 = plus * minus % _P, (plus - minus) * (plus + 121665 * (plus - minus)) % _P
        if one:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")


def z85(data: bytes) -> str:
    """A number of bytes that four divides, in five characters for every four."""
    words = [int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4)]
    return "".join(_Z85[word // 85**power % 85] for word in words for power in (4, 3, 2, 1, 0))
