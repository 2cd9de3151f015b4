"""What a container may do, by its security settings: real containers, as root and rootless."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.node.runtimes.runtime import ContainerError, Mount, RuntimeUnavailableError, Security

from . import tiers
from .contract import World
from .tiers import PYTHON, Tier

STATUS = "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | cut -f 2 | tr '\\n' ' '"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


@pytest.fixture
def root() -> Iterator[Tier]:
    with tiers.tier("root") as found:
        yield found


async def status(w: World, security: Security) -> list[str]:
    _, text = await w.sh(STATUS, security=security)
    return text.split()


USUAL, NONE = "00000000800405fb", "0000000000000000"


def test_the_kernel_is_told_what_a_container_may(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        assert await status(w, Security()) == [USUAL, USUAL, USUAL, NONE, "0", "2"]
        assert await status(w, Security(allow_escalation=False)) == [USUAL, USUAL, USUAL, NONE, "1", "2"]
        assert await status(w, Security(drop_capabilities=["ALL"], seccomp="Unconfined")) == [NONE, NONE, NONE, NONE, "0", "0"]
        assert await status(w, Security(uid=1234, gid=1234)) == [NONE, NONE, USUAL, NONE, "0", "2"]
        assert await status(w, Security(gid=1234)) == [USUAL, USUAL, USUAL, NONE, "0", "2"]
        raw = f"{int(USUAL, 16) | 1 << 13:016x}"
        assert await status(w, Security(add_capabilities=["NET_RAW"])) == [raw, raw, raw, NONE, "0", "2"]

    tier.drive(story)


def test_privileged_is_all_of_the_clusters_rights(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        held = await status(w, Security(privileged=True))
        assert held[0] == held[1] == held[2] == "000001ffffffffff"
        assert held[4] == "0"
        script = (
            "ip link add dummy1 type bridge && ip link del dummy1 && echo 1 > /proc/sys/net/ipv4/ip_forward && hostname other && echo did"
        )
        _, text = await w.sh(script, security=Security(privileged=True))
        assert text.endswith("did\n"), text
        end, text = await w.sh("ip link add dummy1 type bridge")
        assert end.code != 0
        assert "Operation not permitted" in text

    tier.drive(story)


def test_a_read_only_root_is_read_only_everywhere(tier: Tier) -> None:
    volume = tier.directory / "volume"
    volume.mkdir()
    if tier.name == "rootless" and os.geteuid() == 0:
        os.chown(volume, tiers.NOBODY, tiers.NOBODY)
    mounts = [Mount(source=str(volume), target="/deep/volume"), Mount(target="/usr/memory")]

    async def story(w: World) -> None:
        await w.pod()
        script = "for d in / /tmp /workspace /var/tmp /usr /etc /run /root; do touch $d/x 2>/dev/null && echo $d; done; pwd"
        _, text = await w.sh(
            script + "; touch /deep/volume/y /usr/memory/y /dev/shm/y && echo fine", mounts=mounts, security=Security(read_only_root=True)
        )
        assert text.split() == ["/workspace", "fine"]
        _, text = await w.sh("touch /x checkfile /tmp/x && echo fine")
        assert text == "fine\n"

    tier.drive(story)


def test_groups_are_the_given_ones(root: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.sh("id -G", security=Security(uid=1000, gid=2000, groups=[3000, 4000, 99_999_999]))
        assert text.split() == ["2000", "3000", "4000"]
        _, text = await w.sh("id -G")
        assert text.split() == ["0"]

    root.drive(story)


def test_set_uid_programs_work_unless_forbidden(root: Tier) -> None:
    program = root.directory / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    mounts = [Mount(source=str(program), target="/id", read_only=True)]

    async def story(w: World) -> None:
        await w.pod()
        for allow, want in ((True, "0"), (False, "1000")):
            _, text = await w.run(["/id", "-u"], mounts=mounts, security=Security(uid=1000, gid=1000, allow_escalation=allow))
            assert text.strip() == want

    root.drive(story)


def test_a_profile_from_a_file_holds_for_the_container_and_beside_it(tier: Tier) -> None:
    profile = tier.directory / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 117}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    profile.chmod(0o644)

    async def story(w: World) -> None:
        await w.pod()
        for escalation in (True, False):
            security = Security(seccomp=str(profile), allow_escalation=escalation)
            _, text = await w.sh("mkdir /tmp/x 2>&1; echo", security=security)
            assert os.strerror(117) in text
            main = await w.start(["/bin/sleep", "1000"], security=security)
            read, write = os.pipe()
            done = await w.runtime.execute(main, ["/bin/sh", "-c", "mkdir /tmp/x 2>&1"], (read, write, write))
            assert await done != 0
            assert os.strerror(117).encode() in os.read(read, 4096)
            os.close(read)
            os.close(write)
        with pytest.raises(ContainerError, match="no-such-profile"):
            await w.sh("true", security=Security(seccomp="/no-such-profile"))

    tier.drive(story)


def test_a_filter_holds_for_every_thread(tier: Tier) -> None:
    script = """
import ctypes, threading
libc = ctypes.CDLL(None, use_errno=True)
def attempt():
    print(libc.unshare(0x10000000), ctypes.get_errno())
threads = [threading.Thread(target=attempt) for _ in range(3)]
for thread in threads:
    thread.start()
    thread.join()
"""

    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.run([PYTHON, "-c", script])
        assert text.splitlines() == ["-1 1"] * 3

    tier.drive(story)


def test_settings_of_the_pods_own_namespaces(tier: Tier) -> None:
    wanted = {"kernel.shm_rmid_forced": "1", "net.ipv4.tcp_syncookies": "0", "kernel.msgmax": "4096"}

    async def story(w: World) -> None:
        await w.pod(sysctls=wanted)
        _, text = await w.sh("cd /proc/sys && cat kernel/shm_rmid_forced net/ipv4/tcp_syncookies kernel/msgmax")
        assert text.split() == ["1", "0", "4096"]
        for name in ("kernel.core_pattern", "vm.swappiness", "net..x", "kernel.shm../x"):
            with pytest.raises(RuntimeUnavailableError, match="sysctl"):
                await w.pod("b", sysctls={name: "1"})

    tier.drive(story)
