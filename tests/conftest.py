"""What holds for all tests: those that run real programs get a second chance, which the summary shows as a rerun.

A kube-apiserver, a client of somebody else's, or sixteen processes at once that start too slowly on a busy machine say little about
Lightship. A test that fails twice in a row does, and so does a rerun that is seen again and again. Tests in virtual time, and all that
takes less than a quarter of a second, have no second chance.

What takes minutes and most of a machine is marked `soak`, and runs when it is asked for: -m soak.

The whole suite is run by two processes (`./lightship test`). What has pods run, or counts what a machine has of processes, mounts and
files, stays with one of them, in its order; of the rest, each file does.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

_FOREIGN = ("clients", "upstream")
_MACHINE = ("clients", "cluster", "main", "node", "packaging", "platform", "testing", "train")
_MACHINE_FILES = ("test_conformance.py", "test_drivers.py", "test_helm.py")
_LONG = ("pairings", "upstream", "storms", "hostile", "apiserver")
_HERE = Path(__file__).parent
_TOGETHER = "machine"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    soaking = "soak" in (config.option.markexpr or "")
    for item in items:
        if item.get_closest_marker("soak") and not soaking:
            item.add_marker(pytest.mark.skip(reason="loads of minutes run with -m soak"))
        marked = item.get_closest_marker("oracle") or item.get_closest_marker("slow")
        if marked or item.path.relative_to(_HERE).parts[0] in _FOREIGN:
            item.add_marker(pytest.mark.flaky(reruns=1))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid))


class _Shares(LoadScopeScheduling):
    """Tests that stay together are one share, and go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return _share(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return _Shares(config)


def _share(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    _tests, room, *inner = file.split("/")
    return _TOGETHER if room in _MACHINE or (inner[-1:] and inner[-1] in _MACHINE_FILES) else file


def _turn(nodeid: str) -> int:
    """The longest share first, then what takes minutes: nobody waits at the end for what the other has just begun."""
    share = _share(nodeid)
    room = share.split("/")[1] if "/" in share else ""
    return 0 if share == _TOGETHER else 1 + _LONG.index(room) if room in _LONG else 1 + len(_LONG)
