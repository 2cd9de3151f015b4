"""Header compression of HTTP/2: reads all of it, writes the simplest of it.

Called by `frames`. A `Decoder` belongs to one connection, whose table it keeps. Contract: RFC 7541; the code of its Appendix B is
canonical, so the lengths of the codes are enough.
"""

from functools import lru_cache

TABLE_SIZE = 4096
_STATIC = (
    ":authority :method=GET :method=POST :path=/ :path=/index.html :scheme=http :scheme=https :status=200 :status=204"
    " :status=206 :status=304 :status=400 :status=404 :status=500 accept-charset accept-encoding=gzip,_deflate"
    " accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control"
    " content-disposition content-encoding content-language content-length content-location content-range content-type"
    " cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since"
    " last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after"
    " server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate"
)
_LENGTHS = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCBAABCCCCCKGJIX"
    "PRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRSVVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV"
)
"""Bits of the code of each byte: A is 5, Z is 30."""


class HeaderError(ValueError):
    """Headers that cannot be understood: the connection is of no more use."""


def encode(headers: list[tuple[str, str]]) -> bytes:
    """Literally, and so that nobody remembers anything."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(value: str) -> bytes:
    raw = value.encode()
    return _number(len(raw), 7) + raw


def _number(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out = bytearray((most,))
    value -= most
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Decoder:
    """The headers of one direction of one connection."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, str]] = []
        self._size = 0
        self._most = TABLE_SIZE

    def decode(self, block: bytes) -> dict[str, str]:
        """Of headers that come twice, the last. Raises `HeaderError`."""
        found: dict[str, str] = {}
        at = 0
        try:
            while at < len(block):
                first = block[at]
                if first & 0xE0 == 0x20:
                    self._most, at = _read_number(block, at, 5)
                    self._evict()
                    continue
                if first & 0x80:
                    index, at = _read_number(block, at, 7)
                    name, value = self._entry(index)
                else:
                    kept = bool(first & 0x40)
                    index, at = _read_number(block, at, 6 if kept else 4)
                    if index:
                        name = self._entry(index)[0]
                    else:
                        name, at = _read_text(block, at)
                    value, at = _read_text(block, at)
                    if kept:
                        self._add(name, value)
                found[name] = value
        except (IndexError, UnicodeDecodeError) as error:
            raise HeaderError("headers end too early, or are no text") from error
        return found

    def _entry(self, index: int) -> tuple[str, str]:
        static = _static()
        if not 1 <= index <= len(static) + len(self._entries):
            raise HeaderError(f"there is no header number {index}")
        return static[index - 1] if index <= len(static) else self._entries[index - len(static) - 1]

    def _add(self, name: str, value: str) -> None:
        self._entries.insert(0, (name, value))
        self._size += len(name) + len(value) + 32
        self._evict()

    def _evict(self) -> None:
        while self._size > self._most:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + 32


@lru_cache(maxsize=1)
def _static() -> list[tuple[str, str]]:
    pairs = [entry.partition("=") for entry in _STATIC.split(" ")]
    return [(name, value.replace("_", " ")) for name, _, value in pairs]


def _read_number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        value += (block[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if block[at - 1] < 128:
            return value, at
        if shift > 28:
            raise HeaderError("a number is too large")


def _read_text(block: bytes, at: int) -> tuple[str, int]:
    packed = bool(block[at] & 0x80)
    size, at = _read_number(block, at, 7)
    raw = block[at : at + size]
    if len(raw) < size:
        raise HeaderError("a header ends too early")
    return (_unpack(raw) if packed else raw).decode("utf-8", "surrogateescape"), at + size


def _unpack(raw: bytes) -> bytes:
    codes = _codes()
    out = bytearray()
    code = length = 0
    for byte in raw:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = codes.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise HeaderError("a header's code has no end")
    return bytes(out)


@lru_cache(maxsize=1)
def _codes() -> dict[tuple[int, int], int]:
    """Bytes by length and value of their codes."""
    lengths = [ord(letter) - ord("A") + 5 for letter in _LENGTHS]
    found: dict[tuple[int, int], int] = {}
    code, before = -1, 5
    for symbol in sorted(range(256), key=lambda s: (lengths[s], s)):
        code = (code + 1) << (lengths[symbol] - before)
        before = lengths[symbol]
        found[before, code] = symbol
    return found
