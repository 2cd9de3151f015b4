"""Our API server as the benchmarks measure it: TLS, roles, every admission rule, its store on disk; no controllers and no node.

    python -m benchmarks.our_server DIRECTORY TOKEN

Prints its address and ends with SIGTERM. `TOKEN` is the administrator's.
"""

import asyncio
import gc
import random
import signal
import sys
from pathlib import Path

import uvloop

from benchmarks.real_kubernetes import USER_TOKEN
from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.meta.rest import User


async def serve_forever(directory: Path, token: str) -> None:
    clock = SystemClock()
    pki.issue(directory, clock.now())
    opened = store.sqlite(directory / "store.db")
    server = Server(opened, kinds.BUILTIN, clock=clock, random=random.Random())
    # As `lightship up` does: what is stored stays, and looking through all of it for cycles again and again finds nothing.
    gc.freeze()
    gc.set_threshold(10_000, 10, 1_000)
    users = StaticTokens({token: User("admin", ("system:masters",)), USER_TOKEN: User("user", ("benchmarks", "system:authenticated"))})
    listener = await serve(server, tls=tls.server_context(directory), authenticator=users)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(f"https://127.0.0.1:{listener.port}", flush=True)
    await stop.wait()
    await listener.close()
    await opened.close()


if __name__ == "__main__":
    uvloop.run(serve_forever(Path(sys.argv[1]), sys.argv[2]))
