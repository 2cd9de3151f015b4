"""Keeps interpreters ready for containers to be forked from: made after the first cold start, given back when idle.

`sandbox` asks `lend` at every start and tells `started`; the launcher makes templates (`launch.nursery`), inits of sandboxes use them.
Only an optimisation, never a dependency: whatever goes wrong with a template, the next start is cold. Which programs may be warm is
decided in `launch.warmth`, which templates go first in `surplus`, purely.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lightship.aio.clock import Clock
from lightship.node.launch import nursery, warmth, wire

from . import talk
from .runtime import ContainerSpec, RuntimeUnavailableError, Warm

log = logging.getLogger(__name__)

IDLE = 600.0
"""Seconds without a start after which a template is given back."""
RENEWED = 3600.0
"""Seconds after which a template is made anew: its children share one hash seed and one layout of memory."""
MOST = 4
SHARE = 8
"""All templates together may hold one such part of the machine's memory."""
PRESSURE = 10
"""With less than one such part of the memory available, templates are given back at once."""
SWEEP = 15.0
RETRY = 60.0
"""Seconds before an environment whose template failed is tried again."""
_START_SECONDS = 60.0


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What others are told of a template."""

    environment: str
    libraries: list[str]
    pid: int
    memory: int
    """Bytes it holds, shared ones in proportion."""
    children: int
    age: float
    idle: float
    """Both in seconds."""


class Key(NamedTuple):
    """Containers with the same key have one template."""

    python: str
    libraries: tuple[str, ...]
    start: tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class _Template:
    warm: Warm
    control: socket.socket
    pidfd: int
    pid: int
    libraries: list[str]
    changes: dict[str, int]
    born: float
    used: float
    memory: int = 0
    children: int = 0


class Templates:
    """All templates of one runtime. `ask` hands a request and a descriptor to the launcher."""

    def __init__(self, clock: Clock, ask: Callable[[dict[str, Any], list[int]], object]) -> None:
        self._clock = clock
        self._ask = ask
        self._ready: dict[Key, _Template] = {}
        self._making: dict[Key, asyncio.Task[None]] = {}
        self._failed: dict[Key, float] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._on = os.environ.get(warmth.SWITCH, "").lower() not in ("0", "no", "off", "false")

    def lend(self, spec: ContainerSpec, request: Mapping[str, Any]) -> socket.socket | None:
        """The template that this container, which `request` is for, may be forked from; None: none is ready, or it must start cold."""
        template = self._ready.get(_key(spec.warm, request["env"])) if self._on and spec.warm else None
        if template is None or not _may_be_warm(spec, request, template.libraries):
            return None
        return self._lend(template)

    def knocked(self, spec: ContainerSpec, env: Mapping[str, str]) -> socket.socket | None:
        """As `lend`, for a program that a container's process starts; where there is no template there will be one for the next."""
        if not self._on or spec.warm is None:
            return None
        template = self._ready.get(_key(spec.warm, env))
        self._renew(spec.warm, env)
        return self._lend(template) if template is not None else None

    def serves(self, spec: ContainerSpec, request: Mapping[str, Any]) -> bool:
        """Whether what the container's processes start may be forked, and pays: a door to knock at costs a program ten milliseconds."""
        return self._on and spec.warm is not None and bool(spec.warm.libraries) and _may_lend(spec, request)

    def _lend(self, template: _Template) -> socket.socket | None:
        if _changes(template.changes) != template.changes:
            log.info("the environment %s has changed: its template is given back", template.warm.environment)
            self._drop(template)
            return None
        template.used = self._clock.monotonic()
        template.children += 1
        return template.control

    def started(self, spec: ContainerSpec, request: Mapping[str, Any]) -> None:
        """Note that such a container runs: where it could have been forked, the next one shall be."""
        if self._on and spec.warm is not None and _may_be_warm(spec, request, spec.warm.libraries):
            self._renew(spec.warm, request["env"])

    def _renew(self, warm: Warm, env: Mapping[str, str]) -> None:
        """Make a template where there is none, or an old one."""
        key, now = _key(warm, env), self._clock.monotonic()
        ready = self._ready.get(key)
        old = ready is not None and now - ready.born > RENEWED
        if key in self._making or (ready is not None and not old) or now < self._failed.get(key, 0.0):
            return
        if len(self._ready.keys() | self._making.keys() | {key}) <= 2 * MOST and not _short_of_memory():
            self._making[key] = asyncio.create_task(self._make(key, warm))

    def known(self) -> list[Known]:
        now = self._clock.monotonic()
        return [
            Known(
                environment=t.warm.environment,
                libraries=t.libraries,
                pid=t.pid,
                memory=t.memory,
                children=t.children,
                age=now - t.born,
                idle=now - t.used,
            )
            for t in self._ready.values()
        ]

    async def wait_made(self) -> None:
        """Until no template is being made."""
        while self._making:
            await asyncio.wait(self._making.values())

    def give_back(self) -> None:
        """End all templates, for the memory; containers forked from them live on."""
        for template in list(self._ready.values()):
            self._drop(template)

    async def close(self) -> None:
        self._on = False
        tasks = [*self._making.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.give_back()

    async def _make(self, key: Key, warm: Warm) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                template = await self._start(key, warm)
        except (OSError, TimeoutError, RuntimeUnavailableError) as error:
            self._failed[key] = self._clock.monotonic() + RETRY
            log.warning("no template of the environment %s, its containers start cold: %s", warm.environment, error or "it took too long")
            return
        finally:
            self._making.pop(key, None)
        if key in self._ready:
            self._drop(self._ready[key])
        self._ready[key] = template
        asyncio.get_running_loop().add_reader(template.pidfd, self._died, template)
        self._sweep()
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep_always())
        log.info("template of the environment %s: %s, %.0f MB", warm.environment, libraries_text(template.libraries), template.memory / 1e6)

    async def _start(self, key: Key, warm: Warm) -> _Template:
        near, far = wire.pair()
        near.setblocking(False)
        try:
            with far:
                request = {"python": warm.python, "libraries": list(key.libraries), "env": dict(key.start)}
                self._ask({"op": "template", "template": request}, [far.fileno()])
            ready = talk.expect(await talk.packet(near), "ready")
            pidfd = os.pidfd_open(ready.pid)
        except BaseException:
            near.close()  # the template, if there is one, ends with it
            raise
        now, told = self._clock.monotonic(), ready.message
        return _Template(warm, near, pidfd, ready.pid, told["libraries"], told["changes"], now, now)

    async def _sweep_always(self) -> None:
        while self._ready:
            await self._clock.sleep(SWEEP)
            self._sweep()

    def _sweep(self) -> None:
        for template in self._ready.values():
            template.memory = proportional_memory(template.pid)
        now = self._clock.monotonic()
        ages = {key: Age(now - t.used, t.memory) for key, t in self._ready.items()}
        for key in surplus(ages, total_memory() // SHARE, short=_short_of_memory()):
            log.info("the template of the environment %s is given back", self._ready[key].warm.environment)
            self._drop(self._ready[key])

    def _died(self, template: _Template) -> None:
        log.info("the template of the environment %s has ended", template.warm.environment)
        self._drop(template)

    def _drop(self, template: _Template) -> None:
        found = next((key for key, known in self._ready.items() if known is template), None)
        if found is None:
            return
        del self._ready[found]
        asyncio.get_running_loop().remove_reader(template.pidfd)
        template.control.close()
        try:
            signal.pidfd_send_signal(template.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(template.pidfd)


class Age(NamedTuple):
    idle: float
    """Seconds."""
    memory: int
    """Bytes."""


def surplus(templates: Mapping[Key, Age], memory: int, *, short: bool) -> list[Key]:
    """Which to give back: the idle ones, then the longest unused until the rest is few and small enough; all when memory is short."""
    if short:
        return list(templates)
    gone = [key for key, age in templates.items() if age.idle > IDLE]
    left = sorted((key for key in templates if key not in gone), key=lambda key: templates[key].idle)
    while left and (len(left) > MOST or sum(templates[key].memory for key in left) > memory):
        gone.append(left.pop())
    return gone


def libraries_text(libraries: Iterable[str]) -> str:
    return ", ".join(libraries) or "the standard library"


def proportional_memory(pid: int) -> int:
    """Bytes that a process holds, shared pages in proportion; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def total_memory() -> int:
    return _memory()["MemTotal"]


def _short_of_memory() -> bool:
    memory = _memory()
    return memory["MemAvailable"] * PRESSURE < memory["MemTotal"]


def _memory() -> dict[str, int]:
    """Bytes, by the names of /proc/meminfo."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}


def _key(warm: Warm, env: Mapping[str, str]) -> Key:
    return Key(warm.python, tuple(warm.libraries), tuple(warmth.signature(env).items()))


def _may_lend(spec: ContainerSpec, request: Mapping[str, Any]) -> bool:
    return not (spec.root or spec.tty or spec.target) and nursery.CAPABILITIES.issuperset(request["capabilities"])


def _may_be_warm(spec: ContainerSpec, request: Mapping[str, Any], libraries: Iterable[str]) -> bool:
    return _may_lend(spec, request) and isinstance(warmth.decide(spec.argv, request["env"], list(libraries)), warmth.Program)


def _changes(known: Mapping[str, int]) -> dict[str, int]:
    found = {}
    for path in known:
        try:
            found[path] = os.stat(path).st_mtime_ns
        except OSError:
            pass
    return found


def running(python: str) -> int:
    """Bytes that templates of this interpreter hold, in all platforms of this user: they say in their command lines whose they are."""
    wanted = nursery.TITLE.format(python).encode()
    held = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes().rstrip(b"\0") == wanted:
                held += proportional_memory(int(entry.name))
        except OSError:
            pass  # it has ended meanwhile
    return held
