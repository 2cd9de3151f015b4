"""Probes: counting, timing, and what the agent makes of them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock, SystemClock
from lightship.apiserver.access import pki
from lightship.meta import conditions
from lightship.meta.objects import Obj
from lightship.node.pods import grpc
from lightship.node.pods.commands import Outcome
from lightship.node.pods.probes import Kind, Prober, Streak
from lightship.node.pods.reaching import Where

from . import site
from .make import Pod, container, pod, sidecar
from .site import Site

HTTP: Obj = {"httpGet": {"port": 80}}


@pytest.mark.parametrize(
    ("answers", "want"),
    [
        ("+", "+"),
        ("-+", ".+"),
        ("---", "..-"),
        ("--+--", "..+.."),
        ("---+", "..-+"),
        ("++", "++"),
    ],
)
def test_thresholds(answers: str, want: str) -> None:
    streak = Streak({"failureThreshold": 3})
    verdicts = [streak.observe(a == "+") for a in answers]
    assert "".join({True: "+", False: "-", None: "."}[v] for v in verdicts) == want


def test_success_threshold() -> None:
    streak = Streak({"successThreshold": 2})
    assert [streak.observe(True) for _ in range(3)] == [None, True, True]


class Scripted(Prober):
    """Answers by the second since the start instead of asking."""

    def __init__(self, spec: Obj, answer: Callable[[float], bool], seen: list[tuple[float, str, bool]]) -> None:
        self.clock = LoopClock()
        self.asked: list[float] = []
        self._answer = answer
        where = Where(address="10.0.0.1", named_ports={}, open_socket=no_socket)

        def report(kind: Kind, success: bool, why: str) -> None:
            seen.append((self.clock.monotonic(), kind, success))

        super().__init__(spec, where, self.clock, report, tell([]), no_command)

    async def _attempt(self, kind: Kind, probe: Obj) -> tuple[bool | None, str]:
        self.asked.append(self.clock.monotonic())
        return self._answer(self.clock.monotonic()), ""


def watch(spec: Obj, answer: Callable[[float], bool], seconds: float) -> tuple[list[tuple[float, str, bool]], list[float]]:
    async def scenario() -> tuple[list[tuple[float, str, bool]], list[float]]:
        seen: list[tuple[float, str, bool]] = []
        prober = Scripted(spec, answer, seen)
        try:
            async with asyncio.timeout(seconds):
                await prober.run()
        except TimeoutError:
            pass
        return seen, prober.asked

    return virtual.run(scenario())


def test_readiness_is_asked_eagerly_until_it_is_there_then_by_its_period() -> None:
    spec = container(readinessProbe={**HTTP, "initialDelaySeconds": 2, "periodSeconds": 5})
    seen, asked = watch(spec, lambda t: t >= 4, 15)
    assert asked == [2, 3, 4, 9, 14]
    assert seen == [(4, "readiness", True), (9, "readiness", True), (14, "readiness", True)]


def test_readiness_is_lost_after_three_failures() -> None:
    seen, _ = watch(container(readinessProbe={**HTTP, "periodSeconds": 5}), lambda t: t < 1, 21)
    assert seen == [(0, "readiness", True), (15, "readiness", False), (20, "readiness", False)]


def test_other_probes_wait_for_the_startup_probe() -> None:
    spec = container(startupProbe={**HTTP, "periodSeconds": 4}, livenessProbe={**HTTP, "periodSeconds": 100})
    seen, asked = watch(spec, lambda t: t >= 8, 20)
    assert asked == [0, 4, 8, 8]
    assert seen == [(8, "startup", True), (8, "liveness", True)]


def test_a_probe_that_cannot_be_asked_counts_neither_way() -> None:
    spec = container(livenessProbe={"tcpSocket": {"port": "none"}, "periodSeconds": 1, "failureThreshold": 1})
    told: list[tuple[str, str]] = []

    async def scenario() -> None:
        prober = Prober(spec, Where(address="x", named_ports={}, open_socket=no_socket), LoopClock(), no_report, tell(told), no_command)
        async with asyncio.timeout(1.5):
            await prober.run()

    with pytest.raises(TimeoutError):
        virtual.run(scenario())
    assert told == [("Unhealthy", "Liveness probe errored and resulted in unknown state: couldn't find port: none")] * 2


def test_a_container_on_its_way_out_is_asked_for_readiness_only() -> None:
    spec = container(readinessProbe={**HTTP, "periodSeconds": 5}, livenessProbe={**HTTP, "periodSeconds": 5})

    async def scenario() -> list[tuple[float, str, bool]]:
        seen: list[tuple[float, str, bool]] = []
        prober = Scripted(spec, lambda t: t < 6, seen)
        task = asyncio.create_task(prober.run())
        await prober.clock.sleep(7)
        prober.end()
        await prober.clock.sleep(20)
        task.cancel()
        return seen

    seen = virtual.run(scenario())
    assert [(t, kind) for t, kind, ok in seen if not ok] == [(20, "readiness"), (25, "readiness")]


async def no_socket() -> socket.socket:
    raise OSError


async def no_command(argv: Sequence[str], seconds: float) -> Outcome:
    raise OSError


def no_report(kind: Kind, success: bool, why: str) -> None:
    raise AssertionError("no verdict was due")


def tell(told: list[tuple[str, str]]) -> Callable[[str, str], None]:
    return lambda reason, text: told.append((reason, text))


async def attempt(probe: Obj, port: int, told: list[tuple[str, str]] | None = None, **where: Any) -> tuple[bool | None, str]:
    async def open_socket() -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        return sock

    place = Where(address="127.0.0.1", open_socket=open_socket, **{"named_ports": {"web": port}, **where})
    prober = Prober(container(), place, SystemClock(), no_report, tell(told if told is not None else []), no_command)
    return await prober._attempt("liveness", probe)


def serve(answer: bytes, probe: Obj, **where: Any) -> tuple[tuple[bool | None, str], bytes]:
    """One attempt against a server on the loopback; the result and what the server was sent."""

    async def scenario() -> tuple[tuple[bool | None, str], bytes]:
        heard: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            result = await attempt(probe, port, **where)
        return result, b"".join(heard)

    return asyncio.run(scenario())


def test_http() -> None:
    headers = [{"name": "X-A", "value": "b"}]
    result, heard = serve(b"HTTP/1.1 204 No Content\r\n\r\n", {"httpGet": {"port": "web", "path": "/ready", "httpHeaders": headers}})
    assert result == (True, "")
    assert heard.startswith(b"GET /ready HTTP/1.1\r\n")
    assert b"\r\nX-A: b\r\n" in heard
    result, _ = serve(b"HTTP/1.1 503 No\r\n\r\n", {"httpGet": {"port": "web"}})
    assert result == (False, "HTTP probe failed with statuscode: 503")
    (success, why), _ = serve(b"what?\r\n", {"httpGet": {"port": "web"}})
    assert success is False
    assert why.endswith("malformed HTTP response")


def test_http_headers_are_the_kubelets_unless_the_probe_names_its_own() -> None:
    _, heard = serve(b"HTTP/1.1 200 OK\r\n\r\n", {"httpGet": {"port": "web"}})
    assert b"\r\nUser-Agent: kube-probe/1.36\r\n" in heard
    assert b"\r\nAccept: */*\r\n" in heard
    own = [{"name": "Host", "value": "shop"}, {"name": "user-agent", "value": "me"}, {"name": "accept", "value": ""}]
    _, heard = serve(b"HTTP/1.1 200 OK\r\n\r\n", {"httpGet": {"port": "web", "httpHeaders": own}})
    assert heard.count(b"Host:") == 1
    assert b"\r\nHost: shop\r\n" in heard
    assert b"kube-probe" not in heard
    assert b"ccept" not in heard


def test_https_is_asked_whoever_answers(tmp_path: Path) -> None:
    pki.issue(tmp_path, 1_700_000_000.0, durable=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(next(tmp_path.glob("**/*server*.crt")), next(tmp_path.glob("**/*server*.key")))

    async def scenario(*, secure: bool) -> tuple[bool | None, str]:
        gone = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                await reader.read(1000)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while await reader.read(1000):
                    pass
            writer.transport.abort()
            gone.set()

        async with await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context if secure else None) as server:
            found = await attempt({"httpGet": {"port": server.sockets[0].getsockname()[1], "scheme": "HTTPS"}}, 0)
            await gone.wait()
            return found

    assert asyncio.run(scenario(secure=True)) == (True, "")
    success, why = asyncio.run(scenario(secure=False))
    assert success is False
    assert why.endswith("http: server gave HTTP response to HTTPS client")


def test_http_redirects_are_followed_to_the_same_host_only() -> None:
    told: list[tuple[str, str]] = []

    async def scenario(location: str) -> tuple[tuple[bool | None, str], list[bytes]]:
        heard: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append((await reader.readuntil(b"\r\n\r\n")).split()[1])
            moved = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\nthere"
            writer.write(moved.encode() if heard[-1] == b"/a" else b"HTTP/1.1 500 No\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            probe = {"httpGet": {"port": "web", "path": "/a"}}
            return await attempt(probe, server.sockets[0].getsockname()[1], told), heard

    result, heard = asyncio.run(scenario("/b?c=d"))
    assert (result, heard) == ((False, "HTTP probe failed with statuscode: 500"), [b"/a", b"/b?c=d"])
    told.clear()
    result, heard = asyncio.run(scenario("http://example.test/b"))
    assert (result, heard) == ((True, ""), [b"/a"])
    assert told == [("ProbeWarning", "Liveness probe warning: Probe terminated redirects, Response body: there")]


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (b"\x08\x01", (True, "")),
        (b"\x08\x02", (False, 'service unhealthy (responded with "NOT_SERVING")')),
        (b"", (False, 'service unhealthy (responded with "UNKNOWN")')),
        (None, (False, "error: health rpc probe failed: the server refused the call: is the health service registered?")),
    ],
)
def test_grpc(answer: bytes | None, want: tuple[bool, str]) -> None:
    """Against a server that knows as much of HTTP/2 as the test needs; a real one is asked in the conformance tests."""
    heard: list[tuple[int, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(grpc.PREFACE)) == grpc.PREFACE
        writer.write(grpc.frame(grpc.SETTINGS, 0, 0, b"") + grpc.frame(grpc.PING, 0, 0, b"12345678"))
        while len([kind for kind, _ in heard if kind == grpc.DATA]) < 1:
            head = await reader.readexactly(9)
            heard.append((head[3], await reader.readexactly(int.from_bytes(head[:3], "big"))))
        if answer is not None:
            writer.write(grpc.frame(grpc.HEADERS, grpc.END_HEADERS, 1, b"\x88"))
            writer.write(grpc.frame(grpc.DATA, 0, 1, b"\0" + len(answer).to_bytes(4, "big") + answer))
        writer.write(grpc.frame(grpc.HEADERS, grpc.END_HEADERS | grpc.END_STREAM, 1, b""))
        writer.close()

    async def scenario() -> tuple[bool | None, str]:
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            return await attempt({"grpc": {"port": server.sockets[0].getsockname()[1], "service": "shop"}}, 0)

    assert asyncio.run(scenario()) == want
    assert heard[-1] == (grpc.DATA, b"\0\0\0\0\x06\x0a\x04shop")


def test_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert asyncio.run(attempt({"tcpSocket": {"port": "web"}}, server.getsockname()[1])) == (True, "")
    result = asyncio.run(attempt({"tcpSocket": {"port": 1}}, 1))
    assert result == (False, "dial tcp 127.0.0.1:1: connect: connection refused")
    assert asyncio.run(attempt({"tcpSocket": {"port": "none"}}, 1)) == (None, "couldn't find port: none")


# what follows -----------------------------------------------------------------------------------------------------------------------


def test_an_unhealthy_container_is_asked_to_end_then_killed_then_restarted() -> None:
    p = Pod(pod(terminationGracePeriodSeconds=5))
    p.settle()
    p.state.container_probed("main", "liveness", success=False)
    plan = p.settle()
    assert p.log[-2:] == ["StopContainer main", "TerminateContainer main"]
    assert plan.wake == p.now + 5
    p.now += 5
    p.settle()
    assert p.log[-1] == "KillContainer main"
    p.exit(code=137, signal=9)
    p.settle()
    assert p.log[-1] == "StartContainer main"
    assert p.container_state()["restartCount"] == 1


def test_main_containers_wait_for_a_sidecars_startup_probe() -> None:
    p = Pod(pod(inits=[sidecar()]))
    p.state.volumes_ready = True
    p.state.sandbox_created("10.0.0.1")
    p.state.image_pulled("python:3.12", "x")
    p.state.container_started("side", "id", p.now, initialized=False)
    assert p.settle().instructions == []
    p.state.container_probed("side", "startup", success=True)
    p.settle()
    assert p.log == ["StartContainer main"]


def test_the_agent_reports_readiness() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(
            pod(container(readinessProbe={"tcpSocket": {"port": 80}}, livenessProbe={"tcpSocket": {"port": 80}, "periodSeconds": 5}))
        )
        running = await s.until_phase("Running")
        assert conditions.is_false(running, "Ready")
        assert running["status"]["containerStatuses"][0]["started"] is True
        again = await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
        assert conditions.get(again, "Ready")["message"] == "containers with unready status: [main]"  # type: ignore[index]  # a pod has it
        told = await s.events()
        assert ("Unhealthy", "Liveness probe failed: only pretending") in told
        assert ("Killing", "Container main failed liveness probe, will be restarted") in told

    site.run(scenario)


def test_a_command_that_takes_too_long_is_killed_and_has_failed() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.commands = lambda argv: (3 if argv == ["alive", "$(B)", "1"] else 0, 0, "")
        probe = {"exec": {"command": ["alive", "$(B)", "$(A)"]}, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2}
        await s.run_pod(pod(container(livenessProbe=probe, env=[{"name": "A", "value": "1"}])))
        await s.until_phase("Running")
        await s.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
        told = await s.events()
        assert ("Unhealthy", 'Liveness probe failed: command timed out: ["alive" "$(B)" "1"] timed out after 2s') in told
        assert len(s.runtime.given_up) >= 2

    site.run(scenario)


def test_what_a_command_says_is_why_it_failed() -> None:
    async def scenario(s: Site) -> None:
        s.runtime.commands = lambda argv: (0, 1, "no database")
        await s.run_pod(pod(container(readinessProbe={"exec": {"command": ["ready"]}})))
        await s.until_phase("Running")
        await s.clock.sleep(5)
        assert ("Unhealthy", "Readiness probe failed: no database") in await s.events()
        s.runtime.commands = lambda argv: (0, 0, "")
        await s.until(lambda p: conditions.is_true(p, "Ready"))

    site.run(scenario)
