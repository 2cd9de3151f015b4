"""What the tests of a whole platform share: the command line as a subprocess, its API over HTTP, the processes behind it.

A `Home` is a directory for platforms of one test. Everything here is what a user has: the `lightship` command, the kubeconfig that it
writes, and the files of `/proc`. Waiting is always for a condition, and always ends.
"""

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from lightship.aio.clock import SystemClock, pause

T = TypeVar("T")
Obj = dict[str, Any]
LIMIT = 60.0
"""Seconds after which a command or a wait counts as hung."""
IMAGE = "python:3.12"


class Done(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Home:
    """Platforms below one directory, driven by the command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._used: set[tuple[str, ...]] = set()

    def call(self, *words: str, code: int | None = 0, stdin: str = "", env: dict[str, str] | None = None) -> Done:
        """Run one `lightship` command; `code` is the exit status that it must have (None: any)."""
        command = [sys.executable, "-m", "lightship", *words]
        environment = {**os.environ, "LIGHTSHIP_HOME": str(self.path), **(env or {})}
        if "KUBECONFIG" not in (env or {}):
            environment.pop("KUBECONFIG", None)
        ended = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=LIMIT, check=False)
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        assert code is None or done.code == code, f"{' '.join(words)}: {done}"
        return done

    def refused(self, *words: str, code: int = 1, stdin: str = "", env: dict[str, str] | None = None) -> str:
        """What a command says when it refuses: one line and perhaps a hint, nothing on standard output, no traceback."""
        done = self.call(*words, code=code, stdin=stdin, env=env)
        lines = done.err.splitlines()
        assert lines, done
        assert lines[0].startswith("lightship: "), done
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("  hint: ")), done
        return done.err

    def up(self, *options: str) -> "Site":
        where = _where(options)
        self._used.add(where)
        return Site(self, self.call("up", "-o", "json", *options).json(), where)

    def status(self, *options: str) -> Obj:
        found: Obj = self.call("status", "-o", "json", *options, code=None).json()
        return found

    def close(self) -> None:
        for where in self._used:
            self.call("down", *where)


def _where(options: Sequence[str]) -> tuple[str, ...]:
    """The options that say which platform is meant."""
    pairs = [options[i : i + 2] for i, word in enumerate(options) if word in ("--name", "--data-dir")]
    return tuple(word for pair in pairs for word in pair)


class Site:
    """A running platform, as `up -o json` describes it."""

    def __init__(self, home: Home, told: Obj, where: tuple[str, ...] = ()) -> None:
        self.home = home
        self.told = told
        self.where = where
        self.pid: int = told["pid"]
        self.url: str = told["api"]
        self.data = Path(told["dataDir"])
        self.kubeconfig = Path(told["kubeconfig"])

    @property
    def api(self) -> "Api":
        return Api.of(self.kubeconfig)

    def down(self) -> None:
        self.home.call("down", *self.where)

    def kill(self) -> None:
        """kill -9, and wait until nobody holds the data directory."""
        os.kill(self.pid, signal.SIGKILL)
        eventually(lambda: not exists(self.pid), "the killed platform is gone")


class Answer(NamedTuple):
    code: int
    body: Any


class Api:
    """The API over TLS, with nothing but the standard library; a connection per request."""

    def __init__(self, url: str, ca: str, token: str | None) -> None:
        self.url = url
        self._token = token
        self._context = ssl.create_default_context(cadata=ca)

    @classmethod
    def of(cls, kubeconfig: Path, token: str | None = None) -> "Api":
        found = yaml.safe_load(kubeconfig.read_text())
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], ca, user["token"] if token is None else token or None)

    def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Answer:
        """One request; refusals come back as answers. Raises OSError when nobody answers."""
        return self.send(method, path, None if body is None else json.dumps(body).encode(), content_type)

    def send(self, method: str, path: str, data: bytes | None, content_type: str = "application/json") -> Answer:
        """`call` with the body as it is."""
        headers = {"Content-Type": content_type, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=LIMIT) as response:
                return Answer(response.status, _decode(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _decode(error.read()))

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.code == 200, answer
        return answer.body

    def create(self, path: str, body: Obj) -> Obj:
        answer = self.call("POST", path, body)
        assert answer.code == 201, answer
        created: Obj = answer.body
        return created

    def delete(self, path: str) -> None:
        assert self.call("DELETE", path).code in (200, 202)

    def run(self, name: str, script: str, **spec: Any) -> Obj:
        """Create a pod that runs `sh -c script`."""
        container = {"name": "main", "image": spec.pop("image", IMAGE), "command": ["sh", "-c", script], **spec.pop("container", {})}
        body = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, **spec}
        return self.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body})

    def until(self, path: str, holds: Callable[[Obj], Any], what: str) -> Obj:
        """Poll one object until `holds`; returns it."""
        last: list[Obj] = [{}]

        def look() -> bool:
            answer = self.call("GET", path)
            last[0] = answer.body
            return answer.code == 200 and bool(holds(answer.body))

        eventually(look, f"{path}: {what}", lambda: str(last[0]))
        return last[0]

    def phase(self, pod: str, *phases: str) -> Obj:
        return self.until(f"{PODS}/{pod}", lambda found: found["status"].get("phase") in phases, "/".join(phases))

    def log(self, pod: str) -> str:
        return str(self.get(f"{PODS}/{pod}/log"))


PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
EVENTS = "/api/v1/namespaces/default/events"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


def config_map(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def names(listing: Obj) -> list[str]:
    return sorted(item["metadata"]["name"] for item in listing["items"])


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def eventually(holds: Callable[[], T], what: str, detail: Callable[[], str] = str, *, seconds: float = LIMIT) -> T:
    """Wait until `holds()` is true and return what it returned; fails, saying what was awaited, after `seconds`."""
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not (found := holds()):
        assert clock.monotonic() < deadline, f"not within {seconds:g} s: {what} {detail()}"
        pause(0.02)
    return found


class Process(NamedTuple):
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    started: str

    def lives(self) -> bool:
        return _started(self.pid) == self.started


def exists(pid: int) -> bool:
    return _started(pid) != ""


def _started(pid: int) -> str:
    """The kernel's start time of a process that is no zombie; "" for none."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(pid: int) -> list[Process]:
    """All processes below this one, at this moment."""
    parents = {int(entry): int(fields[1]) for entry in os.listdir("/proc") if entry.isdigit() and (fields := _stat(int(entry)))}
    found: list[int] = []
    fresh = [pid]
    while fresh:
        fresh = [child for child, parent in parents.items() if parent in fresh]
        found += fresh
    return [Process(child, started) for child in found if (started := _started(child))]


def marked(word: str) -> list[Process]:
    """All processes with this word on their command line, and the processes that they stem from, up to this test's own."""
    found: dict[int, str] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in words:
            pid = int(entry)
            while pid > 1 and pid not in _ancestors() and (started := _started(pid)):
                found[pid] = started
                pid = int(_stat(pid)[1])
    return [Process(pid, started) for pid, started in found.items()]


def _ancestors() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        pid = int((_stat(pid) or ["", "0"])[1])
    return found
