"""A node for tests that only logs are asked of: what else a node can do, it refuses."""

from asyncio import StreamReader, StreamWriter

from lightship.meta import errors
from lightship.meta.rest import CommandIO, CommandOptions, NodeAnswer


class Talkless:
    """Inherit it and give `logs`."""

    async def run_command(self, namespace: str, pod: str, uid: str, options: CommandOptions, io: CommandIO) -> int:
        raise errors.unavailable("this node runs nothing")

    async def connect(self, namespace: str, pod: str, uid: str, port: int, *, inside: bool = False) -> tuple[StreamReader, StreamWriter]:
        raise errors.unavailable("this node runs nothing")

    async def answer(self, method: str, path: str, query: str) -> NodeAnswer:
        raise errors.unavailable("this node has no server")
