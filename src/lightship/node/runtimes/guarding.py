"""Process groups that do not outlive this process, whatever ends it: a small helper kills those that are left.

Called by host mode for its containers, and by who builds environments. Starts `launch.guard`; knows not what the groups are for.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

_GUARD = "import sys; sys.path.append(sys.argv[1]); from launch import guard; guard.main()"


class Guard:
    """One helper. Start it before the first group; after `close` it watches over nothing."""

    def __init__(self) -> None:
        """Raises `OSError`."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, str(Path(__file__).parent.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd="/",
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        self._tell(f"+{group}")

    def drop(self, group: int) -> None:
        """It has ended, and its number may be somebody else's soon."""
        self._tell(f"-{group}")

    def close(self) -> None:
        """Blocks until the helper has ended, with the groups that it still knows."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
