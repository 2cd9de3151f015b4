"""Minutes of everything at once: writers, watchers, listers, clients that vanish, others that mean harm. Is memory flat, nothing wrong?

    python -m benchmarks.soak [--seconds 200]

The server runs in a process of its own (`tests.hostile.target`, HTTPS, memory store). The number of live objects is held constant, so what
grows is a leak. Prints a line every ten seconds and a verdict; ends with 1 when memory grew by more than a tenth in its second
half, when a request of a good client failed, when the log spoke of errors, or when the event loop was held for long: half a second of
processor time, or more where a known piece of work takes more, too.
"""

import argparse
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Callable

from tests.hostile.attack import Answer, Line, Target, request, target
from tests.hostile.bombs import BOMBS, MAPS
from tests.hostile.test_bombs import MOST_HELD
from tests.hostile.wires import WIRE

LIVE = 200
"""Objects of each writer that are there at any time."""
MEAN = (
    *("deep lists", "bad UTF-8", "one key many times", "many unknown fields", "aliases", "copies that double", "strategic order"),
    *("many bad keys", "a bad pattern", "a long rule", "quantities", "too many operations", "large YAML", "escaped quotes"),
)
EVERY = 10.0
"""Seconds between two looks at the server."""
GROWTH = 1.1


class Crowd:
    """All clients, each in a thread of its own, until told to stop."""

    def __init__(self, server: Target, seed: int) -> None:
        self.server = server
        self.stop = threading.Event()
        self.counts: dict[str, int] = {}
        self.wrong: list[str] = []
        self._random = random.Random(seed)
        works = [lambda i=i: self.write(i) for i in range(3)] + [self.watch, self.watch, self.list, self.vanish, self.harm, self.shout]
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[], None]) -> None:
        while not self.stop.is_set():
            try:
                work()
            except (OSError, ValueError) as error:
                self.wrong.append(repr(error))

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _ask(
        self, line: Line, wanted: tuple[int, ...], method: str, path: str, body: object = None, type: str = "application/json"
    ) -> Answer:
        line.send(request(method, path, body, content_type=type))
        answer = line.answer()
        self._count(method)
        if answer.code not in wanted:
            self.wrong.append(f"{method} {path}: {answer.code} {answer.message}")
        return answer

    def write(self, writer: int) -> None:
        """Create, change, and delete what is too much."""
        with self.server.line() as line:
            for i in itertools.count():
                if self.stop.is_set():
                    return
                name = f"w{writer}-{i % LIVE}"
                if i >= LIVE:
                    self._ask(line, (200, 404), "DELETE", f"{MAPS}/{name}")
                labels = {"writer": str(writer), f"k{i % 50}": "v"}
                body = {"metadata": {"name": name, "labels": labels}, "data": {"a": "x" * self._random.randrange(2000)}}
                self._ask(line, (201, 409), "POST", MAPS, body)
                patch = {"data": {"a": str(i)}}
                self._ask(line, (200,), "PATCH", f"{MAPS}/{name}", patch, type="application/merge-patch+json")
                if i % 500 == 499:
                    return  # a new connection now and then

    def watch(self) -> None:
        with self.server.line() as line:
            line.send(request("GET", MAPS + "?watch=true&allowWatchBookmarks=true&timeoutSeconds=5"))
            line.socket.settimeout(10)
            while not self.stop.is_set():
                data = line.read()
                self._count("watched")
                if not data or data.endswith(b"0\r\n\r\n"):
                    return

    def list(self) -> None:
        with self.server.line() as line:
            for selector in ("", "&labelSelector=writer%3D1", "&limit=50", "&fieldSelector=metadata.name%3Dw1-1", "&resourceVersion=0"):
                self._ask(line, (200,), "GET", f"{MAPS}?a=b{selector}")
            self._ask(line, (200,), "GET", "/openapi/v3")
            self._ask(line, (200,), "GET", "/metrics")
        self.stop.wait(0.05)

    def vanish(self) -> None:
        """Ask, and be gone before the answer."""
        line = self.server.line()
        line.send(request("GET", MAPS + self._random.choice(["", "?watch=true"])))
        line.socket.close()
        self._count("vanished")
        self.stop.wait(0.02)

    def harm(self) -> None:
        bomb = BOMBS[self._random.choice(MEAN)]
        answer = self.server.ask(bomb.method, bomb.path, bomb.body() if bomb.body else None, content_type=bomb.type)
        self._count("bombs")
        if answer.code >= 500:
            self.wrong.append(f"bomb at {bomb.path}: {answer.code} {answer.message}")
        if answer.code == 201:
            name = json.loads(answer.body)["metadata"]["name"]
            self.server.ask("DELETE", f"{bomb.path.partition('?')[0]}/{name}")
        self.stop.wait(0.5)

    def shout(self) -> None:
        """What is no HTTP."""
        with self.server.line() as line:
            line.send(self._random.choice(list(WIRE.values())) + b"\r\n\r\n")
            line.socket.settimeout(1)
            try:
                line.answer()
            except TimeoutError:
                pass
        self._count("shouts")
        self.stop.wait(0.2)


def soak(seconds: float, seed: int) -> list[str]:
    """What was wrong; empty when nothing was."""
    found: list[str] = []
    sizes: list[float] = []
    with target() as server:
        crowd = Crowd(server, seed)
        crowd.begin()
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < seconds:
                time.sleep(EVERY)
                report = server.report()
                sizes.append(server.rss())
                counts = dict(sorted(crowd.counts.items()))
                print(f"{time.monotonic() - begun:5.0f} s  {sizes[-1]:6.1f} MB  held {report.held * 1000:4.0f} ms  {counts}", flush=True)
                found += [f"log: {error[-800:]}" for error in report.errors]
                if report.held > MOST_HELD * report.unit:
                    found.append(f"the loop was held for {report.held:.2f} s: {report.where}")
        finally:
            crowd.end()
        found += crowd.wrong
    first = max(sizes[: len(sizes) // 2 + 1])
    last = min(sizes[-3:])
    print(f"memory: {first:.1f} MB at most in the first half, {last:.1f} MB at the end")
    if last > first * GROWTH:
        found.append(f"memory grew from {first:.1f} to {last:.1f} MB")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="everything at once, for minutes")
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = soak(options.seconds, options.seed)
    for each in found[:20]:
        print("WRONG", each[:1000])
    print(f"{len(found)} things were wrong" if found else "nothing was wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
