"""Finds out what this machine allows, by doing it: decides whether pods can have namespaces of their own.

Called by `choice` and by `lightship status`. The trial runs in a short-lived child (`launch.trial`), so that nothing of this process
changes. Never raises, on no system.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

_TRIAL = "import sys; sys.path.append(sys.argv[1]); from launch import trial; trial.main()"
_SECONDS = 10.0
_ABILITIES = ("user_namespaces", "network_namespaces", "mount_namespaces")
_HINTS = {
    "user_namespaces": "check user.max_user_namespaces, kernel.unprivileged_userns_clone, and the seccomp profile if this is a container",
    "network_namespaces": "check kernel.apparmor_restrict_unprivileged_userns and that the kernel has veth",
    "mount_namespaces": "a container engine that masks parts of /proc forbids them: give it an unmasked one",
}


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What can be had, and for what cannot, why not and what to do about it."""

    user_namespaces: bool = False
    network_namespaces: bool = False
    mount_namespaces: bool = False
    root: bool = False
    reasons: dict[str, str] = {}

    @property
    def sandbox(self) -> bool:
        """Everything that `runtimes.sandbox` needs."""
        return self.user_namespaces and self.network_namespaces and self.mount_namespaces

    @property
    def reason(self) -> str:
        """Why there are no sandboxes, in one line; empty when there are."""
        return "; ".join(self.reasons.values())


def probe() -> Abilities:
    """Try it. Takes about 30 ms on Linux, nothing elsewhere."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if sys.platform != "linux":
        return Abilities(root=root, reasons={"user_namespaces": f"namespaces are a feature of Linux, this is {sys.platform}"})
    return judge(_try(), root=root)


def judge(refused: dict[str, str], *, root: bool) -> Abilities:
    """Abilities by the trial's answer: what comes after the first refusal was not tried and counts as refused."""
    first = next((i for i, name in enumerate(_ABILITIES) if name in refused), len(_ABILITIES))
    had = dict.fromkeys(_ABILITIES[:first], True)
    reasons = {name: f"{name.replace('_', ' ')}: {text}; to have them: {_HINTS[name]}" for name, text in refused.items()}
    return Abilities(**had, root=root, reasons=reasons)


def _try() -> dict[str, str]:
    command = [sys.executable, "-I", "-S", "-c", _TRIAL, str(Path(__file__).parent.parent)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        refused: dict[str, str] = json.loads(done.stdout)
        return refused
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return {"user_namespaces": f"the trial itself failed: {error}"}
