"""The two servers, each behind real HTTPS with everything on, and a plain client that takes nothing for granted.

The real one comes from `tests.oracle`. Ours runs in a thread of its own on a memory store; both are started once per run.
"""

import asyncio
import atexit
import functools
import http.client
import random
import ssl
import tempfile
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lightship import kinds, store
from lightship.aio.clock import SystemClock, pause
from lightship.apiserver.access import pki, token_life
from lightship.apiserver.access.authn import FirstOf, StaticTokens
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.meta.rest import User
from tests import oracle

from .answers import Answer

PATIENCE = 60
"""How often a step that waits for something asks again."""
_PAUSE = 0.03
_SECONDS = 30
_KEEP = ("warning",)


class Client:
    """One connection to a server, as its administrator."""

    def __init__(self, url: str, ca: str) -> None:
        context = ssl.create_default_context(cadata=ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], lines: int = 0) -> Answer:
        """One request; `lines` > 0 reads that many lines of the reply and closes the connection."""
        given = {"Authorization": f"Bearer {oracle.TOKEN}", "User-Agent": "parity/1", "Accept": "application/json", **headers}
        self._connection.request(method, path, body, {name: value for name, value in given.items() if value})
        try:
            response = self._connection.getresponse()
        except http.client.RemoteDisconnected:
            self._connection.close()
            return Answer(0, {}, b"the connection was closed")
        found: dict[str, str] = {}
        for name, value in response.getheaders():
            known = found.get(name.lower())
            found[name.lower()] = value if known is None else f"{known}\n{value}"
        if lines and response.status == 200:
            data = b"".join(response.readline() for _ in range(lines))
            self._connection.close()
        else:
            data = response.read()
        return Answer(response.status, found, data)

    def wait(self, code: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Ask until the code comes; the last answer if it never does."""
        for _ in range(PATIENCE):
            answer = self.ask(method, path, body, headers)
            if answer.code == code:
                break
            pause(_PAUSE)
        return answer

    def close(self) -> None:
        self._connection.close()


def real() -> Client:
    server = oracle.running(accounts=True)
    return Client(server.server, server.ca)


def ours() -> Client:
    return Client(*_ours())


@functools.cache
def _ours() -> tuple[str, str]:
    """Address and CA of our server, started on first use and stopped with the test run."""
    folder = tempfile.TemporaryDirectory(prefix="parity-")
    atexit.register(folder.cleanup)
    home = Path(folder.name)
    pki.issue(home, SystemClock().now())
    loop = asyncio.new_event_loop()
    port: list[int] = []
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(home, port, ready, stop),), daemon=True)
    thread.start()

    def end() -> None:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_SECONDS)
        loop.close()

    atexit.register(end)
    assert ready.wait(5), "our server did not start"
    return f"https://127.0.0.1:{port[0]}", (home / tls.CA).read_text()


async def _serve(home: Path, port: list[int], ready: threading.Event, stop: asyncio.Event) -> None:
    clock = SystemClock()
    memory = store.memory()
    tokens = Tokens(pki.signing_key(home / "sa.key"), clock, lambda: str(uuid.uuid4()), life=token_life.life(memory))
    authenticator = FirstOf([StaticTokens({oracle.TOKEN: User("admin", ("system:masters",), "admin")}), tokens])
    server = Server(memory, kinds.BUILTIN, clock=clock, random=random.Random(0), tokens=tokens, authenticator=authenticator)
    listener = await serve(server, tls=tls.server_context(home), authenticator=authenticator, keys=tokens, clock=clock)
    groups = asyncio.create_task(server.aggregation.run())
    port.append(listener.port)
    ready.set()
    await stop.wait()
    groups.cancel()
    await asyncio.gather(groups, return_exceptions=True)
    await listener.close()
    server.close()
