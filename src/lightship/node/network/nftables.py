"""Packet rules as the kernel wants to be told of them: expressions, chains, sets and elements as netlink messages (nf_tables, IPv4).

Pure: text and numbers in, bytes out. `tables` keeps what there should be and says what changed, `netfilter` has the socket. Registers are
the kernel's 4-byte ones, numbered from 0. Contract: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterable

from lightship.node.launch.netlink import attribute

FAMILY = socket.AF_INET
TABLE = "lightship"

NEW_TABLE, DELETE_TABLE = 0, 2
NEW_CHAIN, DELETE_CHAIN = 3, 5
NEW_RULE, DELETE_RULE = 6, 8
NEW_SET, DELETE_SET = 9, 11
NEW_ELEMENTS, GET_ELEMENTS, DELETE_ELEMENTS = 12, 13, 14
CREATE, APPEND, ACKNOWLEDGE, DUMP, REQUEST = 0x400, 0x800, 4, 0x300, 1
SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NESTED = 0x8000

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
ACCEPT, DROP = 1, 0
_JUMP, _GOTO, _RETURN = -3, -4, -5

TIMEOUT, MAP, DYNAMIC = 0x10, 0x08, 0x20
"""Flags of sets."""
VERDICTS = -1
"""As the length of a map's data: its values are names of chains to visit."""
_TYPE_VERDICT = 0xFFFFFF00

TCP, UDP, SCTP = socket.IPPROTO_TCP, socket.IPPROTO_UDP, 132
PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
_ESTABLISHED_OR_RELATED = 2 | 4


def number(value: int) -> bytes:
    return struct.pack(">I", value & 0xFFFFFFFF)


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def nested(kind: int, value: bytes) -> bytes:
    return attribute(kind | _NESTED, value)


def _data(value: bytes) -> bytes:
    return attribute(1, value)


def _verdict(code: int, chain: str = "") -> bytes:
    return nested(2, attribute(1, number(code)) + (attribute(2, text(chain)) if chain else b""))


def _expression(name: str, *attributes: tuple[int, bytes | int]) -> bytes:
    body = b"".join(attribute(kind, number(value) if isinstance(value, int) else value) for kind, value in attributes)
    return nested(1, attribute(1, text(name)) + nested(2, body))


def _register(index: int) -> int:
    return 8 + index


# Expressions: a rule is one after the other until one does not match ------------------------------------------------------------------


def load_source(register: int = 0) -> bytes:
    """The packet's source address."""
    return _expression("payload", (1, _register(register)), (2, 1), (3, 12), (4, 4))


def load_destination(register: int = 0) -> bytes:
    return _expression("payload", (1, _register(register)), (2, 1), (3, 16), (4, 4))


def load_protocol(register: int = 0) -> bytes:
    return _expression("meta", (1, _register(register)), (2, 16))


def load_port(register: int = 0) -> bytes:
    """The destination port, of whatever protocol has ports where TCP has them."""
    return _expression("payload", (1, _register(register)), (2, 2), (3, 2), (4, 2))


def load_interface(register: int = 0) -> bytes:
    """Index of the interface by which the packet came, in the machine's byte order."""
    return _expression("meta", (1, _register(register)), (2, 4))


def load_value(value: bytes, register: int = 0) -> bytes:
    return _expression("immediate", (1, _register(register)), (2, _data(value)))


def load_random(below: int, register: int = 0) -> bytes:
    """A random number, in the machine's byte order."""
    return _expression("numgen", (1, _register(register)), (2, below), (3, 1))


def is_equal(value: bytes, register: int = 0) -> bytes:
    return _compare(0, value, register)


def differs(value: bytes, register: int = 0) -> bytes:
    return _compare(1, value, register)


def at_most(value: bytes, register: int = 0) -> bytes:
    return _compare(3, value, register)


def at_least(value: bytes, register: int = 0) -> bytes:
    return _compare(5, value, register)


def _compare(operation: int, value: bytes, register: int) -> bytes:
    return _expression("cmp", (1, _register(register)), (2, operation), (3, _data(value)))


def mask(value: bytes, register: int = 0) -> bytes:
    both = (1, _register(register)), (2, _register(register))
    return _expression("bitwise", *both, (3, len(value)), (4, _data(value)), (5, _data(bytes(len(value)))))


def within(cidr: str, register: int = 0, *, inside: bool = True) -> bytes:
    """Whether the loaded address is in a range, or is not."""
    found = ipaddress.IPv4Network(cidr, strict=False)
    compare = is_equal if inside else differs
    return mask(found.netmask.packed, register) + compare(found.network_address.packed, register)


def lookup(name: str, register: int = 0, into: int | None = None) -> bytes:
    """Whether a set has what is loaded; of a map, load the value."""
    target = () if into is None else ((3, _register(into)),)
    return _expression("lookup", (1, text(name)), (2, _register(register)), *target)


def lookup_verdict(name: str, register: int = 0) -> bytes:
    """Go on with what a map of verdicts says, if anything."""
    return _expression("lookup", (1, text(name)), (2, _register(register)), (3, 0))


def remember(name: str, key: int, data: int, seconds: int, *, refresh: bool = False) -> bytes:
    """Put what is loaded into a map, for a time; `refresh` what is there for that time again."""
    operation = 1 if refresh else 0
    life = struct.pack(">Q", seconds * 1000)
    return _expression("dynset", (1, text(name)), (3, operation), (4, _register(key)), (5, _register(data)), (6, life))


def rewrite_destination(register: int = 0) -> bytes:
    """Send the connection to the address in a register and the port in the next one."""
    return _expression("nat", (1, 1), (2, FAMILY), (3, _register(register)), (5, _register(register + 1)))


def rewrite_address(register: int = 0) -> bytes:
    """Send the connection to an address, the port being the same."""
    return _expression("nat", (1, 1), (2, FAMILY), (3, _register(register)))


def masquerade() -> bytes:
    """Send it in the name of this namespace, which gets the answers."""
    return _expression("masq")


def hand_over(register: int = 0) -> bytes:
    """Give the connection to a transparent socket at the address and port in two registers."""
    return _expression("tproxy", (1, FAMILY), (2, _register(register)), (3, _register(register + 1)))


def is_established() -> bytes:
    state = struct.pack("=I", _ESTABLISHED_OR_RELATED)
    return _expression("ct", (1, _register(0)), (2, 0)) + mask(state) + differs(bytes(4))


def accept() -> bytes:
    return _decide(ACCEPT)


def drop() -> bytes:
    return _decide(DROP)


def back() -> bytes:
    """Return to where the chain was jumped to from."""
    return _decide(_RETURN)


def jump(chain: str) -> bytes:
    return _decide(_JUMP, chain)


def goto(chain: str) -> bytes:
    return _decide(_GOTO, chain)


def _decide(code: int, chain: str = "") -> bytes:
    return _expression("immediate", (1, 0), (2, _verdict(code, chain)))


# Messages -----------------------------------------------------------------------------------------------------------------------------


def table(kind: int) -> bytes:
    return _message(kind, CREATE if kind == NEW_TABLE else 0, attribute(1, text(TABLE)))


def chain(kind: int, name: str, hook: tuple[str, int, int] | None = None) -> bytes:
    """`hook`: the type of a chain that packets come to by themselves, where they come by, and its priority there."""
    body = attribute(1, text(TABLE)) + attribute(3, text(name))
    if hook is not None:
        place = attribute(1, number(hook[1])) + attribute(2, number(hook[2]))
        body += nested(4, place) + attribute(5, number(ACCEPT)) + attribute(7, text(hook[0]))
    return _message(kind, CREATE if kind == NEW_CHAIN else 0, body)


def rule(name: str, expressions: bytes) -> bytes:
    """One more rule at the end of a chain."""
    return _message(NEW_RULE, CREATE | APPEND, attribute(1, text(TABLE)) + attribute(2, text(name)) + nested(4, expressions))


def flush(name: str) -> bytes:
    """Remove all rules of a chain."""
    return _message(DELETE_RULE, 0, attribute(1, text(TABLE)) + attribute(2, text(name)))


def new_set(name: str, key: int, data: int | None, flags: int, identity: int) -> bytes:
    """A set, or a map whose values have `data` bytes or are `VERDICTS`; `identity` is unique in its batch."""
    body = attribute(1, text(TABLE)) + attribute(2, text(name)) + attribute(10, number(identity)) + attribute(5, number(key))
    if data is not None:
        flags |= MAP
        body += attribute(6, number(_TYPE_VERDICT if data == VERDICTS else 0)) + attribute(7, number(16 if data == VERDICTS else data))
    return _message(NEW_SET, CREATE, body + attribute(3, number(flags)) + attribute(4, number(0)))


def delete_set(name: str) -> bytes:
    return _message(DELETE_SET, 0, attribute(1, text(TABLE)) + attribute(2, text(name)))


def element(key: bytes, value: bytes | str | None) -> bytes:
    """One element of a set; a map's `value` is data, or the name of a chain. To delete one, the key is enough."""
    body = nested(1, _data(key))
    if isinstance(value, str):
        body += nested(2, _verdict(_JUMP, value))
    elif value is not None:
        body += nested(2, _data(value))
    return nested(1, body)


def elements(kind: int, name: str, encoded: Iterable[bytes]) -> bytes:
    """Add elements to a set, or delete some."""
    body = attribute(1, text(TABLE)) + attribute(2, text(name)) + nested(3, b"".join(encoded))
    return _message(kind, CREATE if kind == NEW_ELEMENTS else 0, body)


def get_elements(name: str) -> bytes:
    return _message(GET_ELEMENTS, DUMP, attribute(1, text(TABLE)) + attribute(2, text(name)))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHIIBBH", 20 + len(body), SUBSYSTEM << 8 | kind, REQUEST | flags, 0, 0, FAMILY, 0, 0) + body


def numbered(message: bytes, sequence: int, *, acknowledge: bool = False) -> bytes:
    """The message as the `sequence`th of its batch."""
    length, kind, flags, _, port = struct.unpack_from("=IHHII", message)
    return struct.pack("=IHHII", length, kind, flags | (ACKNOWLEDGE if acknowledge else 0), sequence, port) + message[16:]


def batch(messages: list[bytes]) -> bytes:
    """Messages that take effect together or not at all; an error tells the index of its message as its sequence number."""
    ends = [
        struct.pack("=IHHIIBBH", 20, kind, REQUEST, len(messages), 0, 0, 0, socket.htons(SUBSYSTEM)) for kind in (_BATCH_BEGIN, _BATCH_END)
    ]
    last = len(messages) - 1
    return ends[0] + b"".join(numbered(m, i, acknowledge=i == last) for i, m in enumerate(messages)) + ends[1]


# Keys ---------------------------------------------------------------------------------------------------------------------------------


def address(value: str) -> bytes:
    return socket.inet_aton(value)


def port(value: int) -> bytes:
    """Padded, as registers are."""
    return struct.pack(">Hxx", value)


def protocol(value: int) -> bytes:
    return struct.pack("=Bxxx", value)


def place(where: str, of: int, at: int) -> bytes:
    """An address, a protocol and a port, as `load_place` has them."""
    return address(where) + protocol(of) + port(at)


def load_place() -> bytes:
    """Where the packet wants to go, in registers 0 to 2."""
    return load_destination(0) + load_protocol(1) + load_port(2)
