"""What roles, flows, managed fields, server-side apply and policies cost: CPU per request inside the server, without sockets, TLS or disk.

    python -m benchmarks.feature_cost [--rounds 8]

Requests go through the HTTP front's `handle` to a memory store, as in `benchmarks.create_cost`, by a user whose rights come from a role.
Kinds of requests take turns, so that other programs disturb all of them alike; each shows the median of its rounds. The steps of the front
are called one after the other; they show the median of 5,000 requests, with some 0.1 µs for reading the clock.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import uvloop

from benchmarks.comparison import POLICY_PARTS
from benchmarks.create_cost import Laps, pod, request, started
from benchmarks.load import PATH
from benchmarks.report import machine
from lightship.aio.clock import SystemClock
from lightship.apiserver import front as fronts
from lightship.apiserver import paths
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.access.authz import require
from lightship.apiserver.access.identity import Identity
from lightship.apiserver.course import Course
from lightship.apiserver.documents import Documents
from lightship.apiserver.front import Front
from lightship.apiserver.media import queries
from lightship.apiserver.metrics import Labels
from lightship.apiserver.server import Server
from lightship.apiserver.transport.exchange import HttpRequest
from lightship.meta.rest import APPLY_PATCH, MERGE_PATCH, User

EACH = 200
ASKED = 5000
_USERS = StaticTokens(
    {"admin": User("admin", ("system:masters",)), "user": User("user", ("benchmarks", "system:authenticated"))},
)
_MAPS = "/api/v1/namespaces/default/configmaps"
_GROUP = "/apis/admissionregistration.k8s.io/v1/"
_ROLE = {
    "metadata": {"name": "benchmark"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "benchmarks"}],
}


class Bench:
    """A server, and what its requests have cost."""

    def __init__(self, server: Server) -> None:
        authorizer = server.authorizer
        self.server = server
        self.identity = Identity(_USERS, authorizer)
        self.documents = Documents(server, {}, None)
        self.front = Front(server, self.identity, _USERS, authorizer, self.documents, SystemClock())
        self.times: dict[str, list[float]] = defaultdict(list)

    async def do(self, *requests: HttpRequest) -> None:
        """Untimed. Raises `RuntimeError` for a refusal."""
        for each in requests:
            answer = await self.front.handle(each)
            if getattr(answer, "code", 0) not in (200, 201):
                raise RuntimeError(answer)

    async def timed(self, name: str, requests: Iterable[HttpRequest]) -> None:
        ready = list(requests)
        start = time.process_time()
        await self.do(*ready)
        self.times[name].append((time.process_time() - start) / len(ready) * 1e6)


def asked(method: str, path: str, body: bytes = b"", content_type: str = "application/json", *, token: str = "user") -> HttpRequest:
    made = request(method, path, body, content_type)
    made.set_url(path.encode())
    made.headers[b"authorization"] = b"Bearer " + token.encode()
    made.headers[b"user-agent"] = b"benchmark/1"
    return made


def config_map(name: str, stamp: str) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * 700, "b": stamp}}).encode()


def applied(name: str, stamp: str) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"c": stamp}}).encode()


async def operations(rounds: int) -> dict[str, list[float]]:
    """Microseconds of CPU by kind of request, in every round."""
    bench = Bench(await started())
    names = [f"m{number}" for number in range(EACH)]
    binding = asked("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json.dumps(_ROLE).encode(), token="admin")
    await bench.do(binding, *(asked("POST", _MAPS, config_map(name, "")) for name in names))
    await bench.do(*(asked("POST", PATH, pod(f"first-{number}")) for number in range(EACH)))
    for number in range(rounds):
        await bench.timed("GET, by an administrator", [asked("GET", f"{_MAPS}/{name}", token="admin") for name in names])
        await bench.timed("GET, by a user with a role", [asked("GET", f"{_MAPS}/{name}") for name in names])
        await bench.timed("PUT of a ConfigMap", [asked("PUT", f"{_MAPS}/{name}", config_map(name, f"p{number}")) for name in names])
        patches = [asked("PATCH", f"{_MAPS}/{name}", b'{"data":{"b":"m%d"}}' % number, MERGE_PATCH) for name in names]
        await bench.timed("merge patch of a ConfigMap", patches)
        for what, stamp in (("server-side apply that changes a value", f"a{number}"), ("server-side apply of what is there", f"a{number}")):
            where = "{}/{}?fieldManager=applier&force=true"
            await bench.timed(what, [asked("PATCH", where.format(_MAPS, name), applied(name, stamp), APPLY_PATCH) for name in names])
        await bench.timed("create a pod", [asked("POST", PATH, pod(f"a{number}-{name}")) for name in names])
        await _with_policy(bench, number, names)
    return bench.times


async def _with_policy(bench: Bench, number: int, names: list[str]) -> None:
    policy, binding = POLICY_PARTS
    for plural, obj in (("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)):
        await bench.do(asked("POST", _GROUP + plural, json.dumps(obj).encode()))
    await bench.do(asked("POST", PATH, pod(f"b{number}")))
    await bench.timed("create a pod under a CEL policy of two rules", [asked("POST", PATH, pod(f"b{number}-{name}")) for name in names])
    for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        await bench.do(asked("DELETE", f"{_GROUP}{plural}/benchmark"))


async def front_steps() -> dict[str, float]:
    """Microseconds by step of the front, for a create by a user with a role."""
    bench = Bench(await started())
    await bench.do(asked("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json.dumps(_ROLE).encode(), token="admin"))
    laps = Laps()
    for _ in range(ASKED):
        await _pass(bench, laps, asked("POST", PATH, b"{}"))
    return {name: sorted(found)[len(found) // 2] / 1000 for name, found in laps.times.items()}


async def _pass(bench: Bench, laps: Laps, wanted: HttpRequest) -> None:
    server = bench.server
    laps.begin()
    user = bench.identity.of(wanted)
    laps.lap("who asks: token, later impersonation")
    target = paths.parse(wanted.path)
    query = queries.parse(wanted.query)
    assert target is not None
    wish = fronts._wish(user, fronts._verb(wanted.method, target, query), target, query)
    laps.lap("path, query, verb")
    course = Course(server.gate, None)
    course.note(wanted, wish, "v1")
    await course.enter(wish)
    laps.lap("flow and seat (priority and fairness)")
    require(server.authorizer, wish)
    laps.lap("roles (RBAC)")
    server.resources.find(target.group, target.version, target.resource)
    laps.lap("resource")
    course.leave()
    laps.lap("seat given back")
    bench.documents.metrics.count(Labels("POST", "", "v1", "pods", "", "namespace"), 201, 0.001)
    laps.lap("metrics")


def _shown(figures: dict[str, float], head: str, digits: Callable[[float], str]) -> str:
    return "\n".join([f"| {head} | µs |", "|---|---|", *(f"| {name} | {digits(cost)} |" for name, cost in figures.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of roles, flows, managed fields, apply and policies per request")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    print(f"{machine()}\n")
    found: dict[str, list[float]] = uvloop.run(operations(options.rounds))
    medians = {name: sorted(costs)[len(costs) // 2] for name, costs in found.items()}
    print(_shown(medians, "request", lambda cost: f"{cost:.0f}"))
    print()
    print(_shown(uvloop.run(front_steps()), "step of the front", lambda cost: f"{cost:.1f}"))


if __name__ == "__main__":
    main()
