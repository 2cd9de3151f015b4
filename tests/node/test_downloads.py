"""What programs of a namespace have fetched: who sees it, and when it goes."""

import os
from pathlib import Path
from random import Random

import pytest

from lightship import kinds
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.server import Server
from lightship.builtin.controllers import controllers as builtin
from lightship.client import Client
from lightship.control import Manager
from lightship.kinds import NAMESPACES
from lightship.meta.rest import User
from lightship.node.images.environments import Environment
from lightship.node.inputs import downloads
from lightship.node.runtimes import layout
from lightship.node.runtimes.runtime import Mount
from lightship.store import memory

FETCHING = Environment(name="made", path=[], downloads="/var/cache/lightship/downloads")


@pytest.mark.parametrize(("said", "want"), [("", Path("/data/downloads")), ("on", Path("/data/downloads")), ("off", None), ("0", None)])
def test_they_can_be_switched_off(said: str, want: Path | None) -> None:
    assert downloads.place(Path("/data"), {"LIGHTSHIP_DOWNLOADS": said}) == want


def test_a_namespace_sees_its_own(tmp_path: Path) -> None:
    found = downloads.mounts(FETCHING, tmp_path, "team", [])
    assert found == [Mount(source=str(tmp_path / "team"), target=FETCHING.downloads)]
    assert (tmp_path / "team").stat().st_mode & 0o777 == 0o777, "pods have users of their own"
    assert os.listdir(tmp_path) == ["team"]


def test_who_does_not_see_them(tmp_path: Path) -> None:
    plain = Environment(name="made", path=[])
    own = Mount(source="/elsewhere", target=FETCHING.downloads)
    assert downloads.mounts(plain, tmp_path, "team", []) == []
    assert downloads.mounts(FETCHING, None, "team", []) == []
    assert downloads.mounts(FETCHING, tmp_path, "team", [own]) == [], "a volume of the pod's takes their place"
    assert os.listdir(tmp_path) == []


def test_they_go_with_the_namespace(tmp_path: Path) -> None:
    async def remove(directory: Path) -> None:
        layout.remove_tree(directory)  # at once: virtual time knows no threads

    async def story() -> None:
        clock, random = LoopClock(), Random(1)
        server = Server(memory(), kinds.BUILTIN, clock=clock, random=random)
        await server.start()
        client = Client(server.local(User("system:admin", ("system:masters",))))
        manager = Manager(client, clock=clock, random=random)
        manager.add(downloads.controller(manager, tmp_path, remove))
        manager.add(next(c for c in builtin(manager, resources=kinds.BUILTIN, ca_pem="") if c.name == "namespace"))
        for name in "going", "staying":
            await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            (tmp_path / name / "blobs").mkdir(parents=True)
        async with manager.running():
            await client.delete(NAMESPACES, "going")
            for _ in range(1000):
                if not (tmp_path / "going").exists():
                    break
                await clock.sleep(0.1)
        assert os.listdir(tmp_path) == ["staying"]

    virtual.run(story())
