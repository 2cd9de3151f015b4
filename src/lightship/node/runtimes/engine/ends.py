"""How a container of an engine has ended, as its inspection tells.

Pure; called by `runtime`. Engines do not tell a death by signal from a code: only signals that we have sent are known.
Contract: Docker Engine API, ContainerState.
"""

import signal
from datetime import datetime
from typing import Any

from lightship.node.runtimes.enforcement import OUT_OF_MEMORY
from lightship.node.runtimes.runtime import Exit


def out_of_memory(state: dict[str, Any], counted: bool | None, sent: int) -> bool:
    """Whether it died for its memory: `counted` by its group, None if that was gone before anyone looked.

    Then nobody can tell any more, and a kill that is not ours, of a container with a limit, is taken for what it nearly always is.
    """
    if state.get("OOMKilled"):
        return True
    return counted if counted is not None else state.get("ExitCode") == 128 + signal.SIGKILL and sent != signal.SIGKILL


def told(container_id: str, state: dict[str, Any], sent: int, now: float) -> Exit:
    """`state` as inspected, empty for a container that is not there any more; `sent`: its last signal; `now`: since the epoch."""
    code = int(state.get("ExitCode", 128 + signal.SIGKILL)) if state else 128 + signal.SIGKILL
    killed = bool(state.get("OOMKilled"))
    expected = (sent, signal.SIGKILL if killed or not state else 0)
    signum = code - 128 if code > 128 and code - 128 in expected else 0
    return Exit(container_id, code, int(signum), _finished(state) or now, OUT_OF_MEMORY if killed else "")


def _finished(state: dict[str, Any]) -> float:
    try:
        found = datetime.fromisoformat(state.get("FinishedAt") or "")
    except ValueError:
        return 0.0
    return max(0.0, found.timestamp()) if found.year > 1 else 0.0
