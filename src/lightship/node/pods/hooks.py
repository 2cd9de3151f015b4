"""Lifecycle hooks of one pod's containers: run them, beside the worker, and say how they ended.

Called by `starting` (postStart) and `stopping` (preStop). A hook ends at the latest with its container: `cancel`. What follows from a
hook's failure is decided in `sync`. Contract: core/v1 Lifecycle; kubelet handlers.go (events do not say what went wrong: it
may be secret).
"""

import asyncio
import logging
from collections.abc import Callable

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import ContainerError

from . import commands, reaching, spec
from .reaching import NotSecureError, ReachError
from .subject import Subject

log = logging.getLogger(__name__)

Ended = Callable[[bool], None]
"""Told whether the hook has succeeded."""
HTTP_SECONDS = 60.0
"""An HTTP hook that is not answered by then has failed."""


class HookError(Exception):
    """A hook that failed, in words."""


class Hooks:
    """The hooks that run now, by container."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, kind: str, ended: Ended) -> None:
        """Run the `postStart` or `preStop` hook of a container, in place of the one that may still run."""
        self.cancel(name)
        self._running[name] = self._subject.spawn(self._run(name, kind, ended), f"{kind} of {name}")

    def cancel(self, name: str) -> None:
        """Nobody waits for it any more; its program is killed."""
        task = self._running.pop(name, None)
        if task is not None:
            task.cancel()

    async def _run(self, name: str, kind: str, ended: Ended) -> None:
        container = self._subject.spec_of(name)
        handler = spec.hook(container, kind)
        try:
            await self._handle(container, handler)
        except (HookError, ReachError, ContainerError, TimeoutError, OSError) as error:
            log.info("hook failed pod=%s container=%s hook=%s error=%s", objects.key(self._subject.pod), name, kind, error)
            title = kind[0].upper() + kind[1:]
            self._subject.event("Warning", f"Failed{title}Hook", f"{title}Hook failed", name)
            self._forget(name)
            ended(False)
        else:
            self._forget(name)
            ended(True)
        self._subject.wake()

    def _forget(self, name: str) -> None:
        if self._running.get(name) is asyncio.current_task():
            del self._running[name]

    async def _handle(self, container: Obj, handler: Obj) -> None:
        if "exec" in handler:
            container_id = self._subject.state.container(container["name"]).id
            found = await commands.run(self._subject.node.runtime, container_id, handler["exec"].get("command") or [])
            if found.code != 0:
                raise HookError(f"command ended with exit code {found.code}: {found.output!r}")
        elif "httpGet" in handler:
            async with asyncio.timeout(HTTP_SECONDS):
                await self._get(container, handler["httpGet"])
        elif "sleep" in handler:
            await self._subject.node.clock.sleep(float(handler["sleep"].get("seconds") or 0))
        else:
            raise HookError(f"invalid handler: {', '.join(handler) or 'empty'}")

    async def _get(self, container: Obj, target: Obj) -> None:
        """Any answer will do; a server that does not speak TLS is asked without it."""
        where = self._subject.where(container)
        try:
            await reaching.get(where, target, "lifecycle")
        except NotSecureError:
            plain = {**target, "scheme": "HTTP", "httpHeaders": _without_secrets(target)}
            await reaching.get(where, plain, "lifecycle")
            host = f"{target.get('host') or where.address}:{where.port(target.get('port'))}"
            text = f"request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded"
            self._subject.event("Warning", "LifecycleHTTPFallback", text)


def _without_secrets(target: Obj) -> list[Obj]:
    return [h for h in target.get("httpHeaders") or () if h["name"].lower() != "authorization"]
