"""The server under attack, as a program: HTTPS on loopback, a memory store, and a watch over its own event loop.

    python -m tests.hostile.target DIRECTORY

Prints its port once it listens and ends with SIGTERM, or with whoever started it. Each line on standard input is answered by one line of
JSON: the longest time in seconds that the loop has been held since the last question (`held`, processor time of the loop's thread, so that
a busy machine does not count), what a known piece of work takes (`unit`, so that a slow one does not), where it was held, and errors logged.
"""

import asyncio
import gc
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path

import uvloop

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki, token_life
from lightship.apiserver.access.authn import FirstOf, StaticTokens
from lightship.apiserver.access.client_certificates import ClientCertificates
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.meta.rest import User
from lightship.store.retention import Limits
from tests.hostile.flood import Flood

TOKENS = {"admin-token": User("admin", ("system:masters",)), "joe-token": User("joe", ("system:authenticated",))}
HISTORY = Limits(seconds=30.0, events=5_000, bytes=16 * 1024 * 1024)
"""Little, so that what memory it takes is taken within a minute, and all further growth is a leak."""
BEAT = 0.01
GRACE = 10.0
"""Seconds to end in good order once nobody asks any more."""
KNOWN = {"items": [{"name": f"n{i}", "labels": {"a": str(i)}, "values": [i, None, True]} for i in range(2_000)]}
"""Something to encode and decode, about as dear as a large request."""
LONG = 0.25
"""Seconds after which the watch looks what the loop is busy with."""


class Watch(logging.Handler):
    """Feels the loop's pulse."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.held = 0.0
        self.where: list[str] = []
        self.errors: list[str] = []
        self._beat = time.monotonic()
        self._spent = time.thread_time()
        self._thread = threading.get_ident()
        self._rest = threading.Event()  # that nobody sets: only its patience is wanted

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append(self.format(record))

    def beat(self) -> None:
        spent = time.thread_time()
        self.held = max(self.held, spent - self._spent)
        self._spent, self._beat = spent, time.monotonic()
        asyncio.get_running_loop().call_later(BEAT, self.beat)

    def look(self) -> None:
        """In a thread of its own."""
        while True:
            self._rest.wait(LONG / 2)
            if time.monotonic() - self._beat > LONG and (frame := sys._current_frames().get(self._thread)):
                where = [f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in traceback.extract_stack(frame)[-8:]]
                self.where.append(" < ".join(reversed(where)))

    def answer(self) -> None:
        """In another one: one line for each line that comes; the end of them is the end."""
        unit = 0.0
        for _ in sys.stdin:
            begun = time.thread_time()
            json.loads(json.dumps(KNOWN))
            unit = max(unit, time.thread_time() - begun)
            print(json.dumps({"held": self.held, "unit": unit, "where": self.where[-3:], "errors": self.errors}), flush=True)
            self.held, self.where, self.errors = 0.0, [], []
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE)
        os._exit(1)  # the loop is held for good


async def main(directory: Path) -> None:
    clock = SystemClock()
    pki.issue(directory, clock.now())
    objects = store.memory(limits=HISTORY)
    tokens = Tokens(pki.signing_key(directory / "sa.key"), clock, lambda: str(uuid.uuid4()))
    tokens.life = token_life.life(objects)
    flood = Flood()
    server = Server(objects, kinds.BUILTIN, clock=clock, random=random.Random(1), tokens=tokens, nodes=lambda name: flood)
    ours, proxy = [(directory / name).read_bytes() for name in (tls.CA, tls.PROXY_CA)]
    listener = await serve(
        server,
        tls=tls.server_context(directory),
        authenticator=FirstOf([StaticTokens(TOKENS), tokens]),
        certificates=ClientCertificates(clock, ours, proxy, [tls.PROXY_NAME]),
    )
    gc.freeze()
    gc.set_threshold(10_000, 10, 1_000)
    watch = Watch()
    logging.getLogger().addHandler(watch)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(listener.port, flush=True)
    watch.beat()
    for work in (watch.look, watch.answer):
        threading.Thread(target=work, daemon=True).start()
    await stop.wait()
    await listener.close()
    server.close()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
