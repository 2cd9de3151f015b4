"""URLs as Go's `net/url` takes them apart and puts them together, with its words for what is wrong.

Called by the libraries `urls` and `format`. Works on bytes as Go does, since escapes may hide any byte; what is not UTF-8 in the end
is shown as U+FFFD. Python's `urllib` accepts other texts. Refuses to know CEL.
Contract: Go 1.26 net/url Parse, ParseRequestURI, URL.String, EscapedPath, Query (which drops the pairs that it cannot read).
"""

import re
from typing import NamedTuple

from lightship.cel.library.netip import AddressError, parse_addr
from lightship.cel.library.quoting import quote

_SCHEME = re.compile(rb"([a-zA-Z][a-zA-Z0-9+.-]*):")
_PORT = re.compile(rb"(:[0-9]*)?")
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_USERINFO = re.compile(rb"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HARMLESS = frozenset(b"!$&'()*+,;=:@[]%")

_WORD = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
_PLAIN = {
    "path": frozenset(_WORD + b"$&+,/:;=@"),
    "host": frozenset(_WORD + b"!$&'()*+,;=:[]<>\""),
    "user": frozenset(_WORD + b"$&+,;="),
    "query": frozenset(_WORD),
    "fragment": frozenset(_WORD + b"$&+,/:;=?@!()*"),
}
"""Bytes that need no escape, by the part of the URL."""


class UrlError(ValueError):
    """Not a URL; the text is Go's, with the input in it."""


class Url(NamedTuple):
    """The parts of a URL. `path` is unescaped; `raw_path` is how it stood, where that is not the usual way to escape it."""

    scheme: bytes = b""
    opaque: bytes = b""
    user: bytes | None = None
    host: bytes = b""
    path: bytes = b""
    raw_path: bytes = b""
    query: bytes = b""
    force_query: bool = False
    omit_host: bool = False
    fragment: bytes = b""
    raw_fragment: bytes = b""

    def hostname(self) -> bytes:
        return _split_host(self.host)[0]

    def port(self) -> bytes:
        return _split_host(self.host)[1]

    def escaped_path(self) -> bytes:
        if self.raw_path and _is_escaped(self.raw_path, "path"):
            return self.raw_path
        return b"*" if self.path == b"*" else _escape(self.path, "path")

    def values(self) -> dict[str, list[str]]:
        """The query's pairs, those that can be read."""
        found: dict[str, list[str]] = {}
        for pair in self.query.split(b"&"):
            key, _, value = pair.partition(b"=")
            if not pair or b";" in pair:
                continue
            try:
                found.setdefault(_shown(_unescape(key, "query")), []).append(_shown(_unescape(value, "query")))
            except UrlError:
                continue
        return {key: values for key, values in found.items() if values}

    def __str__(self) -> str:
        head = self.scheme + b":" if self.scheme else b""
        text = head + (self.opaque or self._hierarchy(bool(head)))
        if self.force_query or self.query:
            text += b"?" + self.query
        if self.fragment:
            raw = self.raw_fragment if _is_escaped(self.raw_fragment, "fragment") else b""
            text += b"#" + (raw or _escape(self.fragment, "fragment"))
        return _shown(text)

    def _hierarchy(self, has_scheme: bool) -> bytes:
        authority = b""
        if (has_scheme or self.host or self.user is not None) and not (self.omit_host and not self.host and self.user is None):
            if self.host or self.path or self.user is not None:
                authority = b"//"
            if self.user is not None:
                authority += self.user + b"@"
            authority += _escape(self.host, "host")
        path = self.escaped_path()
        if path and path[:1] != b"/" and self.host:
            authority += b"/"
        if not has_scheme and not authority and b":" in path.partition(b"/")[0]:
            authority = b"./"
        return authority + path


def parse_request_uri(text: str) -> Url:
    """An absolute URL or an absolute path, a fragment being nothing special. Raises `UrlError`."""
    try:
        return _parse(text.encode(errors="surrogatepass"), via_request=True)
    except UrlError as error:
        raise UrlError(f"parse {quote(text)}: {error}") from None


def parse(text: str) -> Url:
    """Any URL, with its fragment. Raises `UrlError`."""
    head, _, fragment = text.partition("#")
    try:
        url = _parse(head.encode(errors="surrogatepass"), via_request=False)
    except UrlError as error:
        raise UrlError(f"parse {quote(head)}: {error}") from None
    if not fragment:
        return url
    raw = fragment.encode(errors="surrogatepass")
    try:
        plain = _unescape(raw, "fragment")
    except UrlError as error:
        raise UrlError(f"parse {quote(text)}: {error}") from None
    return url._replace(fragment=plain, raw_fragment=raw if _escape(plain, "fragment") != raw else b"")


def text_of(part: bytes) -> str:
    """A part of a URL as a string."""
    return _shown(part)


def _parse(raw: bytes, *, via_request: bool) -> Url:
    if _CONTROL.search(raw):
        raise UrlError("net/url: invalid control character in URL")
    if not raw and via_request:
        raise UrlError("empty url")
    if raw == b"*":
        return Url(path=b"*")
    if raw[:1] == b":":
        raise UrlError("missing protocol scheme")
    found = _SCHEME.match(raw)
    scheme, rest = (found[1].lower(), raw[found.end() :]) if found else (b"", raw)
    force_query = rest.endswith(b"?") and rest.count(b"?") == 1
    rest, _, query = rest.partition(b"?")
    if rest[:1] != b"/":
        if scheme:
            return Url(scheme=scheme, opaque=rest, query=query, force_query=force_query)
        _check_relative(rest, via_request=via_request)
    user, host, path = None, b"", rest
    if rest.startswith(b"//") and (scheme or (not via_request and not rest.startswith(b"///"))):
        authority, slash, path = rest[2:].partition(b"/")
        path = slash + path
        user, host = _authority(scheme, authority)
        omit_host = False
    else:
        omit_host = bool(scheme) and rest[:1] == b"/"
    plain = _unescape(path, "path")
    raw_path = path if _escape(plain, "path") != path else b""
    return Url(scheme, b"", user, host, plain, raw_path, query, force_query, omit_host)


def _check_relative(rest: bytes, *, via_request: bool) -> None:
    if via_request:
        raise UrlError("invalid URI for request")
    if b":" in rest.partition(b"/")[0]:
        raise UrlError("first path segment in URL cannot contain colon")


def _authority(scheme: bytes, authority: bytes) -> tuple[bytes | None, bytes]:
    """User information, escaped again, and host."""
    info, at, host = authority.rpartition(b"@")
    host = _host(scheme, host)
    if not at:
        return None, host
    if not _USERINFO.fullmatch(info):
        raise UrlError("net/url: invalid userinfo")
    name, colon, password = info.partition(b":")
    return _escape(_unescape(name, "user"), "user") + colon + _escape(_unescape(password, "user"), "user"), host


def _host(scheme: bytes, host: bytes) -> bytes:
    bracket = host.rfind(b"[")
    if bracket > 0:
        raise UrlError("invalid IP-literal")
    if bracket == 0:
        return _literal(host)
    first = host.find(b":")
    if first != -1:
        port = host[first if scheme in (b"http", b"https") else host.rfind(b":") :]
        if not _PORT.fullmatch(port):
            raise UrlError(f"invalid port {quote(_shown(port))} after host")
    return _unescape(host, "host")


def _literal(host: bytes) -> bytes:
    """An IPv6 address in brackets, perhaps with a zone and a port."""
    end = host.rfind(b"]")
    if end < 0:
        raise UrlError("missing ']' in host")
    port = host[end + 1 :]
    if not _PORT.fullmatch(port):
        raise UrlError(f"invalid port {quote(_shown(port))} after host")
    name, percent, zone = host[1:end].partition(b"%25")
    name = _unescape(name, "host") + (_unescape(percent + zone, "zone") if percent else b"")
    try:
        addr = parse_addr(_shown(name))
    except AddressError as error:
        raise UrlError(f"invalid host: {error}") from None
    if addr.bits == 32:
        raise UrlError("invalid IP-literal")
    return b"[" + name + b"]" + port


def _split_host(host: bytes) -> tuple[bytes, bytes]:
    colon, port = host.rfind(b":"), b""
    if colon != -1 and _PORT.fullmatch(host[colon:]):
        host, port = host[:colon], host[colon + 1 :]
    if host[:1] == b"[" and host[-1:] == b"]":
        host = host[1:-1]
    return host, port


def _unescape(part: bytes, mode: str) -> bytes:
    """Raises `UrlError` for a bad escape, and in hosts for bytes that must not stand there."""
    at = 0
    while at < len(part):
        byte = part[at]
        if byte == 0x25:
            _check_escape(part, at, mode)
            at += 3
            continue
        if mode in ("host", "zone") and byte < 0x80 and byte not in _PLAIN["host"]:
            raise UrlError(f"invalid character {quote(chr(byte))} in host name")
        at += 1
    if mode == "query":
        part = part.replace(b"+", b" ")
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), part)


def _check_escape(part: bytes, at: int, mode: str) -> None:
    found = _ESCAPE.match(part, at)
    if found is None:
        raise UrlError(f"invalid URL escape {quote(_shown(part[at : at + 3]))}")
    value = int(found[1], 16)
    in_host = mode == "host" and value < 0x80
    in_zone = mode == "zone" and value != 0x20 and value not in _PLAIN["host"]
    if found[0] != b"%25" and (in_host or in_zone):
        raise UrlError(f"invalid URL escape {quote(_shown(found[0]))}")


def _escape(part: bytes, mode: str) -> bytes:
    plain = _PLAIN[mode]
    return b"".join(bytes([byte]) if byte in plain else b"%%%02X" % byte for byte in part)


def _is_escaped(part: bytes, mode: str) -> bool:
    """May a part stand as it is?"""
    return all(byte in _PLAIN[mode] or byte in _HARMLESS for byte in part)


def _shown(part: bytes) -> str:
    return part.decode(errors="replace")
