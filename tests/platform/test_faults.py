"""Things go wrong at once and all over: processes killed, sources of volumes taken away, two hundred pods.

Each ends where the API says, with events that say what happened, and what the machine gave is the same afterwards (`ledger`). Faults of the
disk are in `test_bad_days`, kills of a platform between two steps in `test_kill9` and `tests/node/test_adoption`.
"""

import os
import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import ledger
from .kit import CONFIG_MAPS, EVENTS, IMAGE, PODS, SECRETS, Api, Home, Obj, config_map, eventually
from .ledger import Count

pytestmark = pytest.mark.slow

LIVES = "exec sleep 1000"


class World:
    """A platform of this test's own, and what it has when no pod is there."""

    def __init__(self, home: Home, *options: str) -> None:
        self.home = home
        self.options = options
        self.site = home.up(*options)
        self.api: Api = self.site.api
        self.api.until("/api/v1/namespaces/default/serviceaccounts/default", bool, "is there")
        # Whatever is made once, at the first pod: not a leak.
        self.api.run("first", "true")
        self.api.phase("first", "Succeeded")
        self.api.delete(f"{PODS}/first")
        self.gone()
        eventually(lambda: not self.count().files, "its files are gone")
        self.before = self.count()

    def count(self) -> Count:
        found = ledger.count(os.getpid(), self.site.data)
        kept = tuple(p for p in found.processes if "template" not in p and "environments/" not in p)
        # A template of an interpreter is kept for the next pods, whenever it is ready: with namespaces of its own, nothing of any pod's.
        return found._replace(processes=kept, namespaces=0)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.site.pid}/fd"))

    def again(self) -> None:
        """After a kill: the next platform."""
        self.site = self.home.up(*self.options)
        self.api = self.site.api

    def pods(self) -> list[Obj]:
        listed: list[Obj] = self.api.get(PODS)["items"]
        return listed

    def gone(self) -> None:
        eventually(lambda: not self.pods(), "all pods are gone", lambda: str(self.pods()[:2]))

    def clean(self) -> None:
        """Delete all pods; nothing is left of them."""
        assert self.api.call("DELETE", PODS + "?gracePeriodSeconds=1").code == 200
        self.gone()
        eventually(lambda: self.count() == self.before, "as much as before", lambda: f"{self.count()} and not {self.before}")
        for launcher in self.launchers():
            assert ledger.interfaces(launcher) == len(self.nodes())

    def nodes(self) -> list[Obj]:
        listed: list[Obj] = self.api.get("/api/v1/nodes")["items"]
        return listed

    def launchers(self) -> list[int]:
        return [pid for pid in ledger.descendants(os.getpid()) if "launcher.main" in ledger.command(pid) and ledger.is_first(pid)]

    def events(self, name: str) -> set[str]:
        return {event["reason"] for event in self.api.get(f"{EVENTS}?fieldSelector=involvedObject.name%3D{name}")["items"]}

    def until_event(self, name: str, reason: str) -> None:
        eventually(lambda: reason in self.events(name), f"{name}: {reason}", lambda: str(self.events(name)))

    def process(self, mark: str) -> int:
        """The one process below this test with that word on its command line."""
        found = eventually(lambda: [p for p in ledger.descendants(os.getpid()) if mark in ledger.command(p).split()], f"a process {mark}")
        return found[0]


@pytest.fixture
def world(home: Home) -> Iterator[Callable[..., World]]:
    with ledger.adopting():
        yield lambda *options: World(home, *options)
        home.close()


def restarts(pod: Obj) -> int:
    return sum(int(status["restartCount"]) for status in pod["status"].get("containerStatuses") or ())


def test_processes_that_are_killed(world: Callable[..., World]) -> None:
    """A container's, a pod's init, and the launcher."""
    here = world()
    api = here.api
    api.run("never", "exec sleep 1001")
    api.run("always", "exec sleep 1002", restartPolicy="Always")
    api.run("held", "exec sleep 1003", restartPolicy="Always")
    for name in ("never", "always", "held"):
        api.phase(name, "Running")
    os.kill(here.process("1001"), signal.SIGKILL)
    ended = api.phase("never", "Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    os.kill(here.process("1002"), signal.SIGKILL)
    api.until(f"{PODS}/always", lambda pod: restarts(pod) == 1 and pod["status"]["phase"] == "Running", "runs again")
    init = ledger.parent(here.process("1003"))
    os.kill(init, signal.SIGKILL)
    api.until(f"{PODS}/held", lambda pod: restarts(pod) == 1 and pod["status"]["phase"] == "Running", "runs again, in a new sandbox")
    here.clean()


def test_kills_at_any_moment(world: Callable[..., World]) -> None:
    """While sandboxes, containers and volumes are made, and while pods are deleted."""
    here = world()
    chance, number = random.Random(11), 0
    here.api.create(CONFIG_MAPS, config_map("settings", a="b"))
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("v", "c", "m")]
    volumes = [
        {"name": "v", "emptyDir": {}},
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "m", "emptyDir": {"medium": "Memory"}},
    ]
    first = [{"name": "i", "image": IMAGE, "command": ["sh", "-c", "true"]}]
    shapes: list[tuple[str, Obj]] = [
        (LIVES, {}),
        ("echo said; exit 0", {}),
        (LIVES, {"volumes": volumes, "container": {"volumeMounts": mounts}, "restartPolicy": "Always"}),
        (LIVES, {"initContainers": first, "restartPolicy": "Always"}),
        ("exit 3", {"restartPolicy": "Always"}),
        (LIVES, {"shareProcessNamespace": True}),
    ]
    for _ in range(4):
        names: list[str] = []
        for _ in range(chance.randint(1, 6)):
            number += 1
            script, spec = chance.choice(shapes)
            here.api.run(f"p{number}", script, **spec)
            names.append(f"p{number}")
            if chance.random() < 0.3:
                here.api.call("DELETE", f"{PODS}/{names.pop(chance.randrange(len(names)))}")
        here.site.kill()
        here.again()

    def settled() -> bool:
        return all(
            pod["status"].get("phase") in ("Running", "Succeeded") and "deletionTimestamp" not in pod["metadata"] for pod in here.pods()
        )

    eventually(settled, "all pods are where they should be", lambda: str([p for p in here.pods() if p["status"].get("phase") != "Running"]))
    here.clean()


def test_sources_that_are_taken_away(world: Callable[..., World], tmp_path: Any) -> None:
    here = world("--allow-host-path")
    api = here.api
    folder = tmp_path / "folder"
    folder.mkdir()
    api.create(CONFIG_MAPS, config_map("settings", a="b"))
    api.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"k": "v"}})
    volumes = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "s", "secret": {"secretName": "key"}},
        {"name": "h", "hostPath": {"path": str(folder), "type": "Directory"}},
    ]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("c", "s", "h")]
    api.run("mounted", "while ! test -e /tmp/end; do sleep 0.1; done; cat /c/a /s/k", volumes=volumes, container={"volumeMounts": mounts})
    api.phase("mounted", "Running")
    api.delete(f"{CONFIG_MAPS}/settings")
    api.delete(f"{SECRETS}/key")
    folder.rmdir()
    for name, volume in (("no-config", volumes[0]), ("no-secret", volumes[1]), ("no-folder", volumes[2])):
        api.run(name, "true", volumes=[volume], container={"volumeMounts": [{"name": volume["name"], "mountPath": "/x"}]})
    for name in ("no-config", "no-secret", "no-folder"):
        here.until_event(name, "FailedMount")
        assert api.get(f"{PODS}/{name}")["status"]["phase"] == "Pending"
    assert api.get(f"{PODS}/mounted")["status"]["phase"] == "Running", "what is mounted stays"
    folder.mkdir()
    api.create(CONFIG_MAPS, config_map("settings", a="b"))
    api.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"k": "v"}})
    for name in ("no-config", "no-secret"):
        api.phase(name, "Succeeded")
    here.clean()


@pytest.mark.parametrize(("script", "phase", "reason"), [(LIVES, "Running", "Started"), ("exit 3", "Failed", "Started")])
def test_two_hundred_pods_at_once(world: Callable[..., World], script: str, phase: str, reason: str) -> None:
    here = world("--agents", "2")
    held = here.descriptors()
    for number in range(200):
        here.api.run(f"p{number}", script)

    def phases() -> list[str]:
        return [pod["status"].get("phase") for pod in here.pods()]

    eventually(lambda: phases().count(phase) == 200, f"all are {phase}", lambda: str(set(phases())), seconds=300)
    told = {event["involvedObject"]["name"] for event in here.api.get(EVENTS)["items"] if event["reason"] == reason}
    assert len(told - {"first"}) == 200, "nobody's event is lost"
    here.clean()
    eventually(lambda: here.descriptors() <= held + 8, "descriptors are given back", lambda: f"{here.descriptors()} and not {held}")
