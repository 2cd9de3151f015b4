"""`/livez`, `/readyz` and `/healthz`: is the server alive, and may it be sent work?

`front` calls `answer`; `main` adds checks of its own to readiness. Each check is asked anew every time and says what is wrong, or nothing.
Contract: the health endpoints of kube-apiserver, `?verbose`, `?exclude=`, and one path per check.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from lightship.apiserver.exchange import Reply

Check: TypeAlias = Callable[[], str]
"""Returns what is wrong, or an empty string."""

PATHS = ("healthz", "livez", "readyz")
_TEXT = "text/plain; charset=utf-8"


def answer(endpoint: str, only: str, checks: Mapping[str, Check], *, verbose: bool, exclude: frozenset[str]) -> Reply:
    """The reply of `endpoint`, or of its single check `only`. Terse when all is well, unless `verbose`."""
    if only:
        if only not in checks:
            return Reply(404, b"404 page not found\n", _TEXT)
        wrong = checks[only]()
        return Reply(500, f"internal server error: {wrong}\n".encode(), _TEXT) if wrong else Reply(200, b"ok", _TEXT)
    failed = False
    lines = []
    for name, check in checks.items():
        if name in exclude:
            lines.append(f"[+]{name} excluded: ok")
            continue
        wrong = check()
        failed = failed or bool(wrong)
        lines.append(f"[-]{name} failed: {wrong}" if wrong else f"[+]{name} ok")
    if failed:
        return Reply(500, "\n".join([*lines, f"{endpoint} check failed", ""]).encode(), _TEXT)
    return Reply(200, "\n".join([*lines, f"{endpoint} check passed", ""]).encode() if verbose else b"ok", _TEXT)
