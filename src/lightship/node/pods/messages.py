"""Termination messages: what a container leaves behind for people, in a file of its own or at the end of its log.

Called by `worker` around every run of a container. Contract: terminationMessagePath, terminationMessagePolicy; the kubelet's limits.
"""

from pathlib import Path

from lightship.meta.objects import Obj
from lightship.node.streams.logs import last_lines

FILE_BYTES = 4096
LOG_BYTES = 2048
LOG_LINES = 80


def prepare(path: Path) -> None:
    """An empty file that any user may write. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch()
    path.chmod(0o666)


def termination(container: Obj, path: Path, log: Path, code: int) -> str:
    """The message of a run that ended with `code`."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES).decode(errors="replace")
    except OSError:
        text = ""
    if text or code == 0 or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return text
    return last_lines(log, LOG_LINES, LOG_BYTES)
