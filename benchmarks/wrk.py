"""Loads by `wrk`: one request after the other on every connection, over TLS, as a Lua script makes them.

Called by `benchmarks.comparison`. A figure of which any answer was refused is no figure.
"""

import json
import re
import subprocess
import tempfile
import uuid
from typing import Any, NamedTuple

from benchmarks.contenders import Contender

_SCRIPT = """
local id = 0
local headers = {["Authorization"] = "Bearer %(token)s", ["Content-Type"] = "%(type)s"}
local most = %(most)d
function init(args) run = args[1] end
function request()
  id = id + 1
  local name = run .. "-" .. (most > 0 and id %% most or id)
  return wrk.format("%(method)s", %(path)s, headers, %(body)s)
end
"""
NAME = "@NAME@"
"""Stands for a name in a path or a body: another one for each request, but for `most`, from which on they come again."""
STAMP = "@STAMP@"
"""Stands for what is another in each request."""


class Load(NamedTuple):
    """Requests per second, milliseconds that 99 % of them stayed under, and how many there were."""

    rate: float
    p99: float
    total: int


def load(
    contender: Contender,
    method: str,
    path: str,
    body: Any = None,
    *,
    connections: int,
    seconds: float,
    content_type: str = "application/json",
    run: str = "",
    most: int = 0,
    token: str = "",
) -> Load:
    """Raises `RuntimeError` when some were refused."""
    values = {
        "token": token or contender.user,
        "type": content_type,
        "method": method,
        "most": most,
        "path": _lua(path),
        "body": "nil" if body is None else _lua(json.dumps(body)),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % values)
        script.flush()
        # One thread: names are counted per thread.
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--latency", "--timeout", "20s", "-s", script.name]
        done = subprocess.run(
            [*command, contender.url, "--", run or f"r{uuid.uuid4().hex[:8]}"], check=True, capture_output=True, text=True
        )
    return _read(done.stdout, contender)


def _lua(text: str) -> str:
    """A Lua expression of a text with its marks filled in."""
    return "[==[" + text.replace(NAME, "]==] .. name .. [==[").replace(STAMP, "]==] .. id .. [==[") + "]==]"


def _read(said: str, contender: Contender) -> Load:
    rate, p99 = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    count = re.search(r"(\d+) requests in", said)
    if rate is None or p99 is None or count is None or "Non-2xx" in said:
        raise RuntimeError(f"{contender.name}: not every request succeeded:\n{said}")
    return Load(float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]], int(count[1]))
