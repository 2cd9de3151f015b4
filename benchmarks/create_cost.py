"""CPU of single operations inside the server, without sockets, TLS or disk, and of the steps of a pod's creation.

    python -m benchmarks.create_cost [--rounds 6]

Requests go through the HTTP front's `handle` to a memory store, 500 of a kind in a row; the least mean of all rounds counts, since other
programs only ever add. The steps are those of `apiserver.verbs.writing`, called here one after the other for 2,000 different pods; each
shows its median. Bias: steps include the reading of the clock, some 0.1 µs; in a loop of one step alone each would cost half as much,
because the processor then has nothing else to keep in mind.
"""

import argparse
import asyncio
import gc
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import uvloop

from benchmarks.load import PATH, POD
from benchmarks.report import machine
from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver import objectmeta
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.access.identity import Identity
from lightship.apiserver.core import Core
from lightship.apiserver.documents import Documents
from lightship.apiserver.front import Front
from lightship.apiserver.requests import Request
from lightship.apiserver.server import Server
from lightship.apiserver.transport.exchange import HttpRequest
from lightship.apiserver.verbs import managed, rounds, write_checks, writing
from lightship.meta import codec, times
from lightship.meta.admission import AdmissionRequest
from lightship.meta.rest import MERGE_PATCH, User, WriteOptions

EACH = 500
PODS = 2000
_ADMIN = User("admin", ("system:masters",))
_BEFORE, _AFTER = json.dumps(POD).split("NAME")
_STATUS = b'{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}'


def pod(name: str) -> bytes:
    return f"{_BEFORE}{name}{_AFTER}".encode()


def request(method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> HttpRequest:
    made = HttpRequest()
    made.method, made.path, made.body = method, path, body
    made.headers = {b"authorization": b"Bearer token", b"content-type": content_type.encode()}
    return made


async def started() -> Server:
    server = Server(store.memory(), kinds.BUILTIN, clock=SystemClock(), random=random.Random(0))
    await server.start()
    gc.freeze()
    gc.set_threshold(10_000, 10, 1_000)
    return server


async def operations(rounds: int) -> dict[str, float]:
    """Microseconds of CPU by operation."""
    server = await started()
    authenticator, authorizer = StaticTokens({"token": _ADMIN}), server.authorizer
    identity = Identity(authenticator, authorizer)
    front = Front(server, identity, authenticator, authorizer, Documents(server, {}, None), SystemClock())
    best: dict[str, float] = defaultdict(lambda: float("inf"))

    async def timed(name: str, requests: Iterable[HttpRequest]) -> None:
        ready = list(requests)
        start = time.process_time()
        for each in ready:
            answer = await front.handle(each)
        best[name] = min(best[name], (time.process_time() - start) / len(ready) * 1e6)
        assert getattr(answer, "code", 0) in (200, 201), answer

    for number in range(rounds):
        paths = [f"{PATH}/p{number}-{i}" for i in range(EACH)]
        await timed("create", [request("POST", PATH, pod(path.rpartition("/")[2])) for path in paths])
        await timed("get", [request("GET", path) for path in paths])
        await timed("patch of the status", [request("PATCH", f"{path}/status", _STATUS, MERGE_PATCH) for path in paths])
        await timed("patch of a label", [request("PATCH", path, b'{"metadata":{"labels":{"a":"b"}}}', MERGE_PATCH) for path in paths])
        await timed("delete", [request("DELETE", path) for path in paths])
    return best


class Laps:
    """Times of steps, in nanoseconds."""

    def __init__(self) -> None:
        self.times: dict[str, list[int]] = defaultdict(list)
        self._last = 0

    def begin(self) -> None:
        self._last = time.perf_counter_ns()

    def lap(self, name: str) -> None:
        now = time.perf_counter_ns()
        self.times[name].append(now - self._last)
        self._last = time.perf_counter_ns()


async def steps() -> dict[str, float]:
    """Microseconds by step of a create."""
    server = await started()
    core = server._core
    laps = Laps()
    for i in range(PODS):
        await _create(core, laps, pod(f"q{i}"))
    return {name: sorted(found)[len(found) // 2] / 1000 for name, found in laps.times.items()}


async def _create(core: Core, laps: Laps, body: bytes) -> None:
    served = core.catalogue.served(kinds.PODS)
    assert served is not None
    resource, asked = served.resource, Request(_ADMIN, kinds.PODS, "default", user_agent="benchmark/1")
    owned = managed.of(served, lambda: core.catalogue.siblings(served.bucket))
    laps.begin()
    obj = codec.decode(body)
    laps.lap("decode")
    write_checks.check_identity(served, asked, obj)
    laps.lap("identity")
    served.accept(obj, "", [])
    laps.lap("schema: types, unknown fields, defaults")
    meta = obj["metadata"]
    objectmeta.stamp_new(meta, core.uid(), times.rfc3339(core.clock.now()), generation=True)
    laps.lap("uid and time")
    _rule(resource.default)(obj)
    laps.lap("the pod's own defaults")
    managed.created(owned, asked, obj, WriteOptions(), meta["creationTimestamp"])
    laps.lap("who owns which fields")
    _rule(resource.prepare)(obj, None)
    laps.lap("what the server decides (status, QoS, tolerations)")
    wish = AdmissionRequest(
        operation="CREATE", resource=resource, subresource="", namespace="default", name=meta["name"], obj=obj, old=None, user=_ADMIN
    )
    await rounds.mutate(served.rules.running(core.store, "CREATE", "").mutating, wish)
    laps.lap("admission: namespace, account, priority")
    objectmeta.check_new(meta, served.name_rule, builtin=True)
    laps.lap("validation of metadata")
    _rule(resource.validate)(obj, None)
    laps.lap("validation of the pod")
    await core.commit(served.bucket, store.Put(served.key("default", meta["name"]), writing.encoder(obj), 0, obj))
    laps.lap("encode and store")


def _rule(rule: Callable[..., object] | None) -> Callable[..., object]:
    assert rule is not None
    return rule


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of operations inside the server, and of the steps of a create")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    print(f"{machine()}\n\n| operation | µs of CPU |\n|---|---|")
    for name, cost in uvloop.run(operations(options.rounds)).items():
        print(f"| {name} | {cost:.1f} |")
    print("\n| step of a create | µs |\n|---|---|")
    found: dict[str, float] = asyncio.run(steps())
    for name, cost in found.items():
        print(f"| {name} | {cost:.1f} |")
    print(f"| together | {sum(found.values()):.1f} |")


if __name__ == "__main__":
    main()
