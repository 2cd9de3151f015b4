"""The ways in which a node of this machine can run pods: as root, as somebody without rights, and without namespaces.

`startup.platform` starts a platform in one of them. Without root there is no tier of root; as root the one without rights is another user
with an interpreter that everybody may run, as the one of this program may lie in a home that only root can enter.
"""

import os
import subprocess
import sys
from typing import NamedTuple

NOBODY = 1001
"""A user that owns nothing."""
EVERYBODYS = "/usr/bin/python3"
_ALONE = "LIGHTSHIP_BENCHMARK"
NAMES = ("root", "rootless", "host")


class Tier(NamedTuple):
    """How to start a platform, or a program to compare its pods with."""

    name: str
    python: str
    user: int | None
    """Who to become first; None: as we are."""
    env: dict[str, str]

    def only(self, env: dict[str, str]) -> "Tier":
        """The same user, with nothing else in the environment."""
        return self._replace(env={**env, _ALONE: "1"})

    def run(self, command: list[str]) -> str:
        """What it printed. Raises `CalledProcessError`."""
        environment = self.env if _ALONE in self.env else {**os.environ, **self.env}
        other = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": [], "cwd": "/"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, **other).stdout  # type: ignore[call-overload, no-any-return]


HERE = Tier("here", sys.executable, None, {})
"""As a user gets it who asks for nothing."""


def tier(name: str, home: str) -> Tier | None:
    """None where this machine has no such tier. `home` becomes that of the user without rights."""
    if name == "host":
        return Tier(name, sys.executable, None, {"LIGHTSHIP_RUNTIME": "process"})
    if (name == "root") != (os.geteuid() == 0):
        return _as_nobody(home) if name == "rootless" else None
    return Tier(name, sys.executable, None, {"LIGHTSHIP_RUNTIME": "sandbox"})


def _as_nobody(home: str) -> Tier | None:
    if not os.access(EVERYBODYS, os.X_OK):
        return None
    os.chown(home, NOBODY, NOBODY)
    paths = [path for path in sys.path if path and not path.startswith((sys.base_prefix, sys.base_exec_prefix))]
    env = {"HOME": home, "LIGHTSHIP_CACHE": f"{home}/cache", "LIGHTSHIP_RUNTIME": "sandbox"}
    return Tier("rootless", EVERYBODYS, NOBODY, {**env, "PYTHONPATH": os.pathsep.join([os.getcwd(), *paths])})
