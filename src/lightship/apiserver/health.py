"""`/livez`, `/readyz` and `/healthz`: is the server alive, and may it be sent work?

`documents` calls `answer`; `main` adds checks of its own to readiness. Each check is asked anew every time and says what is wrong, or
nothing. What is wrong is told to those who ask for that one check; to all others it is only told that something is.
Contract: the health endpoints of kube-apiserver, `?verbose`, `?exclude=`, and one path per check (apiserver pkg/server/healthz).
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from .transport.exchange import Reply

Check: TypeAlias = Callable[[], str]
"""Returns what is wrong, or an empty string."""

PATHS = ("healthz", "livez", "readyz")
_TEXT = "text/plain; charset=utf-8"
_NO_SNIFFING = (("X-Content-Type-Options", "nosniff"),)
_ALWAYS = ("ping", "log", "etcd")
"""Checks that every client may look for; the store, where etcd would be, is part of this process."""


def complete(checks: Mapping[str, Check]) -> dict[str, Check]:
    """These checks and those that every server has."""
    return {**{name: lambda: "" for name in _ALWAYS}, **checks}


def paths(checks: Mapping[str, Check]) -> list[str]:
    """All paths that `answer` is for."""
    return [path for endpoint in PATHS for path in (f"/{endpoint}", *(f"/{endpoint}/{name}" for name in checks))]


def answer(endpoint: str, only: str, checks: Mapping[str, Check], *, verbose: bool, exclude: frozenset[str]) -> Reply:
    """The reply of `endpoint`, or of its single check `only`. Terse when all is well, unless `verbose`."""
    if only:
        return _single(only, checks)
    failed = []
    lines = []
    for name, check in checks.items():
        if name in exclude:
            lines.append(f"[+]{name} excluded: ok")
        elif check():
            failed.append(name)
            lines.append(f"[-]{name} failed: reason withheld")
        else:
            lines.append(f"[+]{name} ok")
    if strange := sorted(exclude - checks.keys() - {""}):
        shown = ", ".join(f'"{name}"' for name in strange)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {shown}")
    if failed:
        return Reply(500, "\n".join([*lines, f"{endpoint} check failed", ""]).encode(), _TEXT, _NO_SNIFFING)
    return Reply(200, "\n".join([*lines, f"{endpoint} check passed", ""]).encode() if verbose else b"ok", _TEXT, _NO_SNIFFING)


def indicators(checks: Mapping[str, Check]) -> bytes:
    """`/metrics/slis`: the outcome of each check, for Prometheus."""
    lines = ["# HELP kubernetes_healthcheck [STABLE] This metric records the result of a single healthcheck."]
    lines.append("# TYPE kubernetes_healthcheck gauge")
    for name, outcome in sorted((name, 0 if check() else 1) for name, check in checks.items()):
        lines += [f'kubernetes_healthcheck{{name="{name}",type="{endpoint}"}} {outcome}' for endpoint in PATHS]
    return ("\n".join(lines) + "\n").encode()


def _single(name: str, checks: Mapping[str, Check]) -> Reply:
    if name not in checks:
        return Reply(404, b"404 page not found\n", _TEXT, _NO_SNIFFING)
    wrong = checks[name]()
    if wrong:
        return Reply(500, f"internal server error: {wrong}\n".encode(), _TEXT, _NO_SNIFFING)
    return Reply(200, b"ok", _TEXT)
