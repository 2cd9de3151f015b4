"""What is no good HTTP, or hardly: bytes for `test_wire` and the soak, by name."""

import base64

from tests.hostile.attack import request
from tests.hostile.bombs import MAPS

HEAD = b"GET /version HTTP/1.1\r\nHost: a\r\n"
POST = b"POST " + MAPS.encode() + b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer admin-token\r\nContent-Type: application/json\r\n"
WIRE: dict[str, bytes] = {
    "noise": bytes(range(256)) * 100,
    "TLS in TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "an unknown method": b"BREW /version HTTP/1.1\r\nHost: a\r\n\r\n",
    "many headers": HEAD + b"".join(b"X-%d: y\r\n" % i for i in range(50_000)) + b"\r\n",
    "one header many times": HEAD + b"X: y\r\n" * 50_000 + b"\r\n",
    "a long header": HEAD + b"X: " + b"y" * 5_000_000 + b"\r\n\r\n",
    "a long header name": HEAD + b"X" * 5_000_000 + b": y\r\n\r\n",
    "a long target": b"GET /" + b"a" * 5_000_000 + b" HTTP/1.1\r\n\r\n",
    "a folded header": HEAD + b"X: a\r\n b\r\n\r\n",
    "a header without a name": HEAD + b": a\r\n\r\n",
    "a NUL in a header": HEAD + b"X: a\0b\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a large length": POST + b"Content-Length: 9223372036854775807\r\n\r\n",
    "an unknown encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "a bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a huge chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n{}\r\n",
    "endless chunk extensions": POST + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a=b;" * 1_000_000 + b"\r\n{}\r\n0\r\n\r\n",
    "trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer joe-token\r\n\r\n",
    "endless trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 500_000 + b"\r\n",
    "tiny chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 500_000 + b"0\r\n\r\n",
    "a smuggled request": POST + b"Content-Length: 2\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "an impersonation flood": request(
        "GET", MAPS, extra=b"".join(b"Impersonate-Group: g%d\r\n" % i for i in range(2_500)) + b"Impersonate-User: a\r\n"
    ),
    "extras of an impersonation": request(
        "GET", MAPS, extra=b"Impersonate-User: a\r\n" + b"".join(b"Impersonate-Extra-%d: g\r\n" % i for i in range(2_000))
    ),
    "bad escapes of an impersonation": request("GET", MAPS, extra=b"Impersonate-User: a\r\nImpersonate-Extra-%zz%00%ff: g\r\n"),
    "a long accept": request("GET", MAPS, accept="a/b;q=0.1," * 6_000),
    "a strange accept": request("GET", MAPS, accept="application/json;as=" + "Table;" * 9_000),
    "a long user agent": request("POST", MAPS, {"metadata": {"name": "agent"}}, user_agent="\xff" * 60_000),
    "a strange type": request("POST", MAPS, b"{}", content_type="application/json;" + "a=b;" * 15_000),
    "a quoted type": request("POST", MAPS, b"{}", content_type='application/json; a="' + "\\" * 60_000),
    "a token of noise": request("GET", MAPS, token="\xff\xfe" * 20_000),
    "a token of dots": request("GET", MAPS, token="." * 60_000),
    "a forged token": request(
        "GET",
        MAPS,
        token=".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in (b'{"alg":"none"}', b'{"sub":"system:admin"}', b"")),
    ),
    "a token of another algorithm": request(
        "GET",
        MAPS,
        token=".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in (b'{"alg":"HS256","kid":["a"]}', b"[" * 9_000, b"x" * 64)),
    ),
    "an expectation": POST + b"Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}",
}
