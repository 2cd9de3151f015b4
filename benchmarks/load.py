"""Many pod creates from a few connections, from outside the server's process: `wrk` where it is installed, else a client of our own.

Both keep every connection busy with one create at a time, over TLS with keep-alive, and count only answers with code 201. `wrk` is a
C program and takes less of a shared machine, so figures of the two are not to be mixed; the report says which it was.
"""

import asyncio
import itertools
import json
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from typing import NamedTuple
from urllib.parse import urlsplit

PATH = "/api/v1/namespaces/default/pods"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "NAME", "namespace": "default", "labels": {"app": "bench", "tier": "one"}, "annotations": {"note": "x" * 60}},
    "spec": {
        "containers": [
            {
                "name": "main",
                "image": "busybox:1.36",
                "command": ["sh", "-c", "echo hello && sleep 3600"],
                "env": [{"name": "A", "value": "a" * 40}, {"name": "B", "value": "b" * 40}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
                "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    },
}
_LUA = """
local id = 0
function init(args) run = args[1] end
local before, after = [[%s]], [[%s]]
function request()
  id = id + 1
  return wrk.format("POST", "%s", {["Authorization"]="Bearer %s", ["Content-Type"]="application/json"}, before .. run .. "-" .. id .. after)
end
"""


class Load(NamedTuple):
    """Creates per second, and milliseconds that 99 % of them stayed under."""

    rate: float
    p99: float


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "Python client"


def creates(url: str, token: str, connections: int, seconds: float) -> Load:
    """Create pods for `seconds`. Raises `RuntimeError` when some were refused."""
    if shutil.which("wrk"):
        return _wrk(url, token, connections, seconds)
    command = [sys.executable, "-m", "benchmarks.load", url, token, str(connections), str(seconds)]
    return Load(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _wrk(url: str, token: str, connections: int, seconds: float) -> Load:
    before, after = json.dumps(POD).split("NAME")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA % (before, after, PATH, token))
        script.flush()
        # One thread: names are counted per thread.
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(round(seconds), 1)}s",
            "--latency",
            "-s",
            script.name,
            url,
            "--",
            f"p{uuid.uuid4().hex[:8]}",
        ]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, p99 = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or p99 is None or "Non-2xx" in said:
        raise RuntimeError(f"not every create succeeded:\n{said}")
    return Load(float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]])


async def _run(url: str, token: str, connections: int, seconds: float) -> Load:
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    run, numbers, end = uuid.uuid4().hex[:8], itertools.count(), time.perf_counter() + seconds
    took: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        while (start := time.perf_counter()) < end:
            body = json.dumps(POD).replace("NAME", f"p{run}-{next(numbers)}").encode()
            head = f"POST {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            writer.write(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if " 201 " not in answer.partition("\r\n")[0]:
                raise RuntimeError(f"refused: {answer}")
            await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
            took.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(len(took) / seconds, sorted(took)[int(len(took) * 0.99)] * 1000)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
