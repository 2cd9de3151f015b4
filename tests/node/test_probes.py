"""Probes: counting, timing, and what the agent makes of them."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock, SystemClock
from lightship.meta import conditions
from lightship.meta.objects import Obj
from lightship.node.pods.probes import Prober, Streak, Where

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
        where = Where(address="10.0.0.1", named_ports={}, open_socket=self.no_socket)
        super().__init__(spec, where, self.clock, lambda k, ok, _: seen.append((self.clock.monotonic(), k, ok)), lambda k, why: None)

    async def no_socket(self) -> socket.socket:
        raise OSError

    async def _attempt(self, probe: Obj) -> tuple[bool, str]:
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


async def attempt(probe: Obj, port: int, **where: Any) -> tuple[bool, str]:
    async def open_socket() -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        return sock

    place = Where(address="127.0.0.1", open_socket=open_socket, **{"named_ports": {"web": port}, **where})
    return await Prober(container(), place, SystemClock(), lambda *_: None, lambda *_: None)._attempt(probe)


def serve(answer: bytes, probe: Obj, **where: Any) -> tuple[tuple[bool, str], bytes]:
    """One attempt against a server on the loopback; the result and what the server was sent."""

    async def scenario() -> tuple[tuple[bool, str], bytes]:
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
    result, _ = serve(b"what?\r\n", {"httpGet": {"port": "web"}})
    assert result == (False, "malformed HTTP response")


def test_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert asyncio.run(attempt({"tcpSocket": {"port": "web"}}, server.getsockname()[1])) == (True, "")
    result = asyncio.run(attempt({"tcpSocket": {"port": 1}}, 1))
    assert result == (False, "dial tcp 127.0.0.1:1: connect: connection refused")
    assert asyncio.run(attempt({"tcpSocket": {"port": "none"}}, 1)) == (False, "couldn't find port: none")


# what follows -----------------------------------------------------------------------------------------------------------------------


def test_an_unhealthy_container_is_asked_to_end_then_killed_then_restarted() -> None:
    p = Pod(pod(terminationGracePeriodSeconds=5))
    p.settle()
    p.state.container_probed("main", "liveness", success=False)
    plan = p.settle()
    assert p.log[-1] == "StopContainer main"
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
