"""What a running platform needs is taken from it: its helper processes, its descriptors, its disk. It says so, and goes on when it can."""

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from . import ledger
from .kit import IMAGE, PODS, Home, Obj, eventually
from .test_bad_days import needs_root, small_disk
from .test_faults import World, restarts, world

__all__ = ["small_disk", "world"]
pytestmark = pytest.mark.slow


def templates() -> list[int]:
    return [pid for pid in ledger.descendants(os.getpid()) if "template" in ledger.command(pid) and ledger.state(pid) not in ("", "Z")]


def test_templates_that_are_killed(world: Callable[..., World]) -> None:
    here = world()
    api = here.api
    python = {"command": ["python", "-c", "import signal; print('up', flush=True); signal.pause()"]}
    api.run("cold", "", container=python)
    api.phase("cold", "Running")
    eventually(templates, "a template is made")
    api.run("forked", "", container=python)
    api.phase("forked", "Running")
    for pid in templates():
        os.kill(pid, signal.SIGKILL)
    api.run("next", "", container=python)
    api.phase("next", "Running")
    for name in ("cold", "forked"):
        found = api.get(f"{PODS}/{name}")
        assert (found["status"]["phase"], restarts(found)) == ("Running", 0), "it lives on without what it was forked from"
    here.clean()


def test_a_launcher_that_is_killed(world: Callable[..., World]) -> None:
    here = world()
    api = here.api
    api.run("never", "exec sleep 1001")
    api.run("always", "exec sleep 1002", restartPolicy="Always")
    for name in ("never", "always"):
        api.phase(name, "Running")
    for pid in here.launchers():
        os.kill(pid, signal.SIGKILL)

    def again() -> bool:
        try:
            found: Obj = api.get(f"{PODS}/always")
        except OSError:
            return False  # between its lives
        return restarts(found) == 1 and bool(found["status"]["containerStatuses"][0]["ready"])

    eventually(again, "it runs in a new network")
    ended = api.phase("never", "Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137
    here.clean()


def test_descriptors_that_run_out(world: Callable[..., World]) -> None:
    here = world()
    held, limits = here.descriptors(), resource.prlimit(here.site.pid, resource.RLIMIT_NOFILE)
    log = here.site.data / "lightship.log"
    for number in range(10):
        here.api.run(f"p{number}", "sleep 1; echo done", restartPolicy="OnFailure")
    resource.prlimit(here.site.pid, resource.RLIMIT_NOFILE, (held + 4, limits[1]))
    try:
        eventually(lambda: "Too many open files" in log.read_text(), "the log says what is short")
    finally:
        resource.prlimit(here.site.pid, resource.RLIMIT_NOFILE, limits)
    for number in range(10):
        here.api.phase(f"p{number}", "Succeeded")
    here.clean()
    eventually(lambda: here.descriptors() <= held + 8, "descriptors are given back", lambda: f"{here.descriptors()} and not {held}")


@needs_root
def test_pods_that_fill_the_disk_with_their_logs(home: Home, small_disk: Path) -> None:
    site = home.up("--data-dir", str(small_disk / "data"))
    site.api.run("talks", f"yes {'x' * 1000}")
    site.api.phase("talks", "Running")

    def full() -> bool:
        return os.statvfs(small_disk).f_bavail * 4096 < 64_000

    eventually(full, "the disk is full")
    assert site.api.get(f"{PODS}/talks")["spec"]["containers"][0]["image"] == IMAGE, "reads go on"
    subprocess.run(["mount", "-o", "remount,size=512m", str(small_disk)], check=True)
    eventually(lambda: site.api.call("DELETE", f"{PODS}/talks").code in (200, 202, 404), "writes go on when there is space again")
    eventually(lambda: site.api.call("GET", f"{PODS}/talks").code == 404, "it is gone")
    site.api.run("after", "echo word", tolerations=[{"operator": "Exists"}])
    site.api.phase("after", "Succeeded")
    assert site.api.log("after") == "word\n"
