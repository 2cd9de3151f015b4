"""Large bodies in memory: who is let in, who is refused, who has to go, and that in the end nothing is left of any."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from lightship.apiserver.transport.cargo import COUNTED, SLOW, Cargo
from lightship.meta.errors import StatusError
from tests.apiserver.http_site import HttpSite, config_map, request, run

MAPS = "/api/v1/namespaces/default/configmaps"
LARGE = config_map("large", a="x" * (2 * COUNTED))


class Sender:
    def __init__(self) -> None:
        self.gone = False

    def abort(self) -> None:
        assert self.gone

    def put_down(self) -> None:
        self.gone = True
        cargo.give(6)


cargo = Cargo(10)


def test_who_is_slow_makes_room_for_who_is_not() -> None:
    slow, quick, other = Sender(), Sender(), Sender()
    assert cargo.take(slow, 6, 0.0)
    assert not cargo.take(quick, 6, SLOW / 2)
    cargo.whole(quick)
    assert cargo.take(quick, 6, SLOW * 2)
    assert slow.gone
    assert cargo.size == 6
    cargo.whole(quick)
    assert not cargo.take(other, 6, SLOW * 9), "a whole body is nobody's fault"
    cargo.give(6)
    assert cargo.take(other, 6, SLOW * 9)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_nothing_is_left_of_what_came() -> None:
    async def main(site: HttpSite) -> None:
        held = site.listener.cargo
        wire = await site.connect()
        assert (await wire.ask("POST", MAPS, LARGE)).code == 201
        await until(lambda: not held.size)
        wire.writer.write(3 * request("PUT", MAPS + "/large", LARGE))
        for _ in range(3):
            assert (await wire.response()).code == 200
        await until(lambda: not held.size)

    run(main)


def test_nothing_is_left_of_those_who_vanish() -> None:
    async def main(site: HttpSite) -> None:
        held = site.listener.cargo
        for data in (request("POST", MAPS, LARGE)[:-10], 3 * request("POST", MAPS, LARGE) + request("POST", MAPS, LARGE)[:-10]):
            wire = await site.connect()
            await wire.send(data)
            await until(lambda: bool(held.size))
            wire.writer.close()
            await until(lambda: not held.size)

    run(main)


@pytest.mark.slow
def test_what_finds_no_room_is_refused_and_the_next_is_not() -> None:
    async def main(site: HttpSite) -> None:
        site.listener.cargo = Cargo(COUNTED * 3)
        first = await site.connect()
        await first.send(request("POST", MAPS, LARGE)[:-10])
        await until(lambda: site.listener.cargo.size > COUNTED * 2 - 10)
        second = await site.connect()
        refused = await second.ask("POST", MAPS, LARGE)
        assert (refused.code, refused.headers["retry-after"]) == (429, "1")
        assert await second.ended()
        await first.send(request("POST", MAPS, LARGE)[-10:])
        assert (await first.response()).code == 201
        assert (await site.ask("PUT", MAPS + "/large", LARGE)).code == 200
        await until(lambda: not site.listener.cargo.size)

    run(main)


def test_a_body_in_many_pieces() -> None:
    async def main(site: HttpSite) -> None:
        wire = await site.connect()
        body = request("POST", MAPS, LARGE).partition(b"\r\n\r\n")[2]
        head = request("POST", MAPS, transfer_encoding="chunked", content_type="application/json")
        await wire.send(head + b"".join(b"2\r\n%b\r\n" % body[i : i + 2] for i in range(0, len(body) - 1, 2)))
        rest = body[len(body) // 2 * 2 :]
        await wire.send((b"1\r\n%b\r\n" % rest if rest else b"") + b"0\r\n\r\n")
        answer = await wire.response()
        assert answer.code == 201, answer.body
        assert answer.obj["data"] == LARGE["data"]

    run(main)


def test_a_refusal_leaves_nothing_to_the_collector() -> None:
    """An error that is tied to its own frame would keep a request of megabytes until the collector comes by, which is seldom."""

    async def main(site: HttpSite) -> None:
        wire = await site.connect()
        bad = {**LARGE, "data": {**LARGE["data"], "no key": "x"}}
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for target, method, code in ((MAPS, "POST", 422), (MAPS + "/large", "PUT", 404), (MAPS, "PUT", 405)):
                assert (await wire.ask(method, target, bad)).code == code
            gc.collect()
            assert not [kept for kept in gc.garbage if isinstance(kept, StatusError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    run(main)
