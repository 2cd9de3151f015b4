"""A pod is shown the devices that it was given, and gets at no others: tried for real, as root and rootless.

Stands in for a machine with two GPUs: of two devices that any machine has, one is given under the name of a GPU, the other is somebody's.
"""

import os
import stat
from collections.abc import Iterator

import pytest

from lightship.node.machine.devices import own
from lightship.node.machine.devices.device import Device
from lightship.node.runtimes.runtime import Mount, Security

from . import tiers
from .contract import World
from .tiers import PYTHON, Tier

pytestmark = pytest.mark.slow

CANDIDATES = ("/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/kvm", "/dev/hwrng", "/dev/vga_arbiter", "/dev/snapshot")
"""Character devices that no container is shown unasked."""

ATTEMPTS = """
import glob, os, stat
GIVEN, OTHER, NUMBER = {given!r}, {other!r}, {number!r}
print("given", stat.S_ISCHR(os.stat(GIVEN).st_mode) and os.stat(GIVEN).st_rdev)
def escaped(name, attempt):
    try:
        attempt()
        print("ESCAPED", name, flush=True)
    except OSError:
        pass
def made(path, mode):
    os.mknod(path, 0o666 | mode, os.makedev(*NUMBER))
    os.close(os.open(path, os.O_RDWR))
usual = {{"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"}}
print("others", sorted(set(os.listdir("/dev")) - usual))
escaped("open", lambda: os.open(OTHER, os.O_RDWR))
for place in ("/tmp/made", "/dev/made", "/dev/shm/made", "/workspace/made"):
    escaped("mknod " + place, lambda: made(place, stat.S_IFCHR))
for root in ("/proc/1/root", "/proc/self/root/..", "/proc/1/cwd/../../.."):
    escaped("through " + root, lambda: os.open(root + OTHER, os.O_RDWR))
for path in glob.glob("/sys/dev/char/%d:%d/dev" % NUMBER):
    escaped("write " + path, lambda: os.open(path, os.O_WRONLY))
escaped("link", lambda: (os.symlink(OTHER, "/tmp/link"), os.open("/tmp/link", os.O_RDWR)))
"""


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


def two() -> tuple[str, str]:
    """Two devices of this machine that are not the same."""
    found = [path for path in CANDIDATES if os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode)]
    if len(found) < 2:
        pytest.skip("this machine has no two devices to spare")
    return found[0], found[1]


@pytest.mark.parametrize("capabilities", [[], ["ALL"]], ids=["usual", "all capabilities"])
def test_only_the_given_device_is_there(tier: Tier, capabilities: list[str]) -> None:
    given, other = two()
    number = (os.major(os.stat(other).st_rdev), os.minor(os.stat(other).st_rdev))
    code = ATTEMPTS.format(given="/dev/nvidia0", other=other, number=number)

    async def story(w: World) -> None:
        await w.pod()
        shown = [Mount(source=given, target="/dev/nvidia0")]
        end, log = await w.run([PYTHON, "-c", code], mounts=shown, security=Security(add_capabilities=capabilities))
        assert log.splitlines() == [f"given {os.stat(given).st_rdev}", "others ['nvidia0']"]
        assert end.code == 0

    tier.drive(story)


def test_a_pod_without_devices_has_none(tier: Tier) -> None:
    _, other = two()
    number = (os.major(os.stat(other).st_rdev), os.minor(os.stat(other).st_rdev))
    code = ATTEMPTS.format(given="/dev/null", other=other, number=number)

    async def story(w: World) -> None:
        await w.pod()
        end, log = await w.run([PYTHON, "-c", code])
        assert log.splitlines() == [f"given {os.stat('/dev/null').st_rdev}", "others []"]
        assert end.code == 0

    tier.drive(story)


def test_what_a_gpu_brings_is_what_is_mounted() -> None:
    devices = [Device(name="gpu-1", index=1, files=["/dev/nvidia1"])]
    assert own.edits(devices, sandboxed=True).mounts[0].source == "/dev/nvidia1"
    assert not [m for m in own.edits(devices, sandboxed=True).mounts if m.source == "/dev/nvidia0"]
