"""What an API server hears when it asks an emulated node about a pod: that nothing runs there.

`main` hands it out in the place of a node's own web server. Contract: `meta.rest.NodeConnection`.
"""

from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator

from lightship.meta import errors
from lightship.meta.rest import CommandIO, CommandOptions, LogOptions, NodeAnswer


class EmulatedNode:
    """A `NodeConnection` without anybody at the other end."""

    def __init__(self, name: str) -> None:
        self._name = name

    def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        raise self._nothing_of(pod, "it has no log")

    async def run_command(self, namespace: str, pod: str, uid: str, options: CommandOptions, io: CommandIO) -> int:
        raise self._nothing_of(pod, "no command can be run in it")

    async def answer(self, method: str, path: str, query: str) -> NodeAnswer:
        return NodeAnswer(501, "text/plain; charset=utf-8", f"node {self._name} is emulated: it has no server of its own\n".encode())

    async def connect(self, namespace: str, pod: str, uid: str, port: int, *, inside: bool = False) -> tuple[StreamReader, StreamWriter]:
        raise self._nothing_of(pod, "it listens on no port")

    def _nothing_of(self, pod: str, why: str) -> errors.StatusError:
        return errors.bad_request(f"pod {pod} is emulated: node {self._name} runs no programs, and so {why}")
