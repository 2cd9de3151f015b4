"""Everything that a client can wait for, measured on our API server and on kube-apiserver with etcd, in turn, on the same machine.

Called by `python -m benchmarks`. Each function measures one contender once; every figure is the median of the rounds. Rates are as `wrk`
counts them; CPU is what the server's processes used meanwhile (etcd's included), so that the client's own part does not count.
Bias: client and servers share the cores, which holds the rates of the faster server down more.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from benchmarks.contenders import Contender, trusting
from benchmarks.load import PATH, POD
from benchmarks.watchers import watching
from benchmarks.wrk import NAME, STAMP, load

Figures: TypeAlias = dict[str, float]
"""Figures by name."""
WIDTHS = (1, 16, 64)
LISTED, HELD = 10_000, 15_000
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
_SECONDS = 2.0
_MAPS = "/api/v1/namespaces/default/configmaps"
_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
_CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"text": "x" * 700, "stamp": STAMP}}
_LABEL = {"metadata": {"labels": {"tier": f"t{STAMP}"}}}
_STATUS = {"status": {"phase": "Running", "message": f"m{STAMP}"}}
_APPLIED = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"applied": STAMP}}
_PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
_POLICY = {
    "metadata": {"name": "benchmark"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
        },
        "validations": [
            {"expression": "object.spec.containers.all(c, c.image.contains(':') && c.name.size() < 20)"},
            {"expression": "has(object.metadata.labels) && object.metadata.labels.all(k, k.size() < 64)"},
        ],
    },
}
_BOUND = {"metadata": {"name": "benchmark"}, "spec": {"policyName": "benchmark", "validationActions": ["Deny"]}}
POLICY_PARTS = (_POLICY, _BOUND)
"""A policy of two rules that all pods pass, and its binding."""


def pod() -> Any:
    """One that no scheduler takes."""
    made = json.loads(json.dumps(POD).replace('"NAME"', f'"{NAME}"'))
    made["spec"]["schedulerName"] = "nobody"
    return made


def just_started(contender: Contender) -> Figures:
    return {"memory just started, MB": contender.rss()}


def writes(contender: Contender) -> Figures:
    """Creates and changes at three widths."""
    found: Figures = {}
    for width in WIDTHS:
        made = load(contender, "POST", PATH, pod(), connections=width, seconds=_SECONDS)
        found[f"create a pod, {width} connections, per s"] = made.rate
        found[f"create a pod, {width} connections, p99 in ms"] = made.p99
    run = _filled(contender)
    for width in WIDTHS:
        put = load(contender, "PUT", f"{_MAPS}/{NAME}", _CONFIG, connections=width, seconds=_SECONDS, run=run, most=100)
        found[f"PUT a ConfigMap, {width} connections, per s"] = put.rate
    for width in WIDTHS:
        kinds = {"labels": (f"{PATH}/{NAME}", _LABEL), "status": (f"{PATH}/{NAME}/status", _STATUS)}
        for what, (path, body) in kinds.items():
            patched = load(contender, "PATCH", path, body, connections=width, seconds=_SECONDS, run=run, most=100, content_type=_MERGE)
            found[f"patch a pod's {what}, {width} connections, per s"] = patched.rate
    return found


def reads(contender: Contender) -> Figures:
    """GET, and what RBAC costs there."""
    run = _filled(contender)
    found: Figures = {}
    for who, token in (("", contender.user), (", by an administrator, who needs no role", contender.admin)):
        before = contender.cpu()
        got = load(contender, "GET", f"{PATH}/{NAME}", connections=16, seconds=_SECONDS, run=run, most=100, token=token)
        found[f"GET a pod, 16 connections{who}, per s"] = got.rate
        found[f"GET a pod{who}, per CPU second"] = got.total / (contender.cpu() - before)
    return found


def features(contender: Contender) -> Figures:
    """Server-side apply, and creates under a policy in CEL, per second of the server's CPU."""
    run = f"s{time.time_ns():x}"
    found: Figures = {}
    for _ in range(2):  # the first time they are created
        count, cpu = _costing(
            contender,
            lambda: (
                load(
                    contender, "PATCH", f"{_MAPS}/{NAME}?fieldManager=b&force=true", _APPLIED, **_narrow(run, 300), content_type=_APPLY
                ).total
            ),
        )
    found["server-side apply of a ConfigMap, per CPU second"] = count / cpu
    count, cpu = _costing(contender, lambda: load(contender, "POST", PATH, pod(), connections=16, seconds=_SECONDS).total)
    found["create a pod, per CPU second"] = count / cpu
    contender.ensure(f"{_POLICIES}ies", _POLICY)
    contender.ensure(f"{_POLICIES}ybindings", _BOUND)
    time.sleep(1.5)  # the peer takes a second to hear of them
    count, cpu = _costing(contender, lambda: load(contender, "POST", PATH, pod(), connections=16, seconds=_SECONDS).total)
    found["create a pod under a CEL policy of two rules, per CPU second"] = count / cpu
    for path in (f"{_POLICIES}ybindings", f"{_POLICIES}ies"):
        contender.call("DELETE", f"{path}/benchmark")
    return found


def watches(contender: Contender) -> Figures:
    """200 watches while pods are created: what the events cost, and what becomes of the writers."""
    count = 200
    with watching(contender, count) as watched:
        before = contender.cpu()
        made = load(contender, "POST", PATH, pod(), connections=16, seconds=_SECONDS)
        events = _settled(watched.events)
        cpu = contender.cpu() - before
    return {
        "create a pod under 200 watches, 16 connections, per s": made.rate,
        "create a pod under 200 watches, 16 connections, p99 in ms": made.p99,
        "events to 200 watches, per CPU second (creates included)": events / cpu,
    }


def crowd(contender: Contender) -> Figures:
    """A steady writer while 1,000 watches are open and a list of 10,000 pods is asked for again and again. Fills the server."""
    fill(contender, LISTED)
    found: Figures = {}
    with listing(contender) as taken:
        time.sleep(4)
    found["list 10,000 pods, s"] = sorted(taken)[len(taken) // 2]
    with watching(contender, 1000), listing(contender) as taken:
        waits = steady(contender, seconds=6, every=0.02)
    found["patch under 1,000 watches and lists of 10,000 pods, p50 in ms"] = waits[len(waits) // 2] * 1000
    found["patch under 1,000 watches and lists of 10,000 pods, p99 in ms"] = waits[int(len(waits) * 0.99)] * 1000
    found["lists of 10,000 pods meanwhile, s"] = sorted(taken)[len(taken) // 2] if taken else float("nan")
    return found


def held(contender: Contender) -> Figures:
    """Memory with 15,000 pods."""
    fill(contender, HELD)
    time.sleep(2)
    return {"memory with 15,000 pods, MB": contender.rss()}


def fill(contender: Contender, wanted: int) -> None:
    """Create pods until there are so many."""
    while (missing := wanted - _pods(contender)) > 0:
        load(contender, "POST", PATH, pod(), connections=64, seconds=min(max(missing / 2500, 1), 5))


@contextmanager
def listing(contender: Contender) -> Iterator[list[float]]:
    """Lists all pods over and over on one connection while the block runs; how long each took, in seconds."""
    taken: list[float] = []
    over = threading.Event()

    def run() -> None:
        with Client(contender) as client:
            while not over.is_set():
                taken.append(client.ask("GET", f"{PATH}?limit={LISTED}"))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def steady(contender: Contender, *, seconds: float, every: float) -> list[float]:
    """Patches a label of one pod now and then; how long each took, in seconds, the shortest first."""
    waits: list[float] = []
    run = _filled(contender)
    with Client(contender) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            body = json.dumps(_LABEL).replace(STAMP, str(len(waits))).encode()
            waits.append(client.ask("PATCH", f"{PATH}/{run}-1", body, _MERGE))
            time.sleep(every)
    return sorted(waits)


class Client:
    """One kept connection, as lean as Python allows: what it reads it throws away."""

    def __init__(self, contender: Contender) -> None:
        parts = urlsplit(contender.url)
        raw = socket.create_connection((parts.hostname, parts.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = trusting().wrap_socket(raw)
        self._head = f"HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {contender.user}\r\n"
        self._space = bytearray(256 * 1024)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *unused: object) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> float:
        """Seconds until the last byte of the answer. Raises `RuntimeError` for a refusal."""
        framing = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n" if body else ""
        start = time.perf_counter()
        self._socket.sendall(f"{method} {path} {self._head}{framing}\r\n".encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if length:
            left = int(length) - len(rest)
            while left > 0:
                left -= self._socket.recv_into(self._space)
        else:
            while not rest.endswith(b"0\r\n\r\n"):
                rest = rest[-8:] + self._socket.recv(len(self._space))
        return time.perf_counter() - start


def _narrow(run: str, most: int) -> dict[str, Any]:
    return {"connections": 16, "seconds": _SECONDS, "run": run, "most": most}


def _costing(contender: Contender, work: Callable[[], int]) -> tuple[int, float]:
    """How many requests, and the server's CPU for them."""
    before = contender.cpu()
    count = work()
    return count, contender.cpu() - before


def _filled(contender: Contender) -> str:
    """The prefix of a hundred pods and ConfigMaps, `<prefix>-0` and on."""
    run = f"f{time.time_ns():x}"
    for number in range(100):
        for path, obj in ((PATH, pod()), (_MAPS, _CONFIG)):
            text = json.dumps(obj).replace(NAME, f"{run}-{number}").replace(STAMP, "0")
            contender.ensure(path, json.loads(text))
    return run


def _settled(count: Callable[[], int], patience: float = 20.0) -> int:
    """A count that has come to rest."""
    end, last = time.monotonic() + patience, -1
    while (now := count()) != last and time.monotonic() < end:
        last = now
        time.sleep(0.5)
    return now


def _pods(contender: Contender) -> int:
    answer = json.loads(contender.call("GET", f"{PATH}?limit=1"))
    remaining: int = answer["metadata"].get("remainingItemCount") or 0
    return remaining + len(answer["items"])
