"""Pods that try to get out: every attempt is made for real, as root and rootless, and has to fail.

Attempts run in a container with the default settings, where uid 0 is the strongest thing to be, and once more with all capabilities
added. Each prints its name when it has succeeded. What limits prevent (fork bombs, memory, disk) is tried in `test_limits`.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.node.runtimes.runtime import ContainerError, Mount, Security

from . import tiers
from .contract import World, processes
from .tiers import PYTHON, Tier

pytestmark = pytest.mark.slow


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


PRELUDE = """
import ctypes, errno, fcntl, glob, os, platform, socket, struct, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    return libc.syscall(number, *arguments) >= 0
def escaped(name, attempt):
    try:
        if attempt():
            print(name, flush=True)
    except (OSError, subprocess.SubprocessError):
        pass
def readable(path):
    with open(path, "rb") as file:
        return bool(file.read(64))
def written(path, text="x"):
    with open(path, "w") as file:
        file.write(text)
    return True
"""

SYSTEM_CALLS = """
if platform.machine() == "x86_64":
    numbers = dict(mount=165, umount=166, pivot_root=155, unshare=272, setns=308, bpf=321, perf=298, kexec=246, kexec_file=320,
        init_module=175, finit_module=313, add_key=248, request_key=249, keyctl=250, io_uring=425, userfaultfd=323, swapon=167, reboot=169,
        open_by_handle=304, open_tree=428, move_mount=429, fsopen=430, fsmount=432, mount_setattr=442, clone3=435, syslog=103, acct=163,
        settimeofday=164, iopl=172, ioperm=173, quotactl=179, x32_getpid=0x40000000 | 39)
    for name, number in numbers.items():
        escaped(name, lambda: call(number, 0, 0, 0, 0, 0, 0))
        found = ctypes.get_errno()
        if found not in (errno.EPERM, errno.ENOSYS):
            print(name, "reached the kernel:", errno.errorcode.get(found))
escaped("user namespace", lambda: libc.unshare(0x10000000) == 0)
escaped("namespaces by clone", lambda: call(56, 0x10000011, 0, 0, 0, 0) and platform.machine() == "x86_64")
escaped("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
escaped("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
escaped("packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
for kind, number in (("c", (1, 1)), ("b", (8, 0)), ("b", (254, 0))):
    escaped("device node", lambda: os.mknod("/tmp/node" + kind, 0o600 | (0o20000 if kind == "c" else 0o60000), os.makedev(*number)) is None)
escaped("host name", lambda: socket.sethostname("other") is None)
master, slave = os.openpty()
escaped("TIOCSTI", lambda: fcntl.ioctl(slave, 0x5412, b"x") == 0)
escaped("TIOCLINUX", lambda: fcntl.ioctl(slave, 0x541C, b"\\x03") == 0)
"""

KERNEL_FILES = """
for path in ("kcore", "keys", "sysrq-trigger", "timer_list", "sched_debug", "1/mem", "kmsg"):
    escaped("read /proc/" + path, lambda: path != "1/mem" and path != "kmsg" and readable("/proc/" + path))
for path in ("sysrq-trigger", "sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/overcommit_memory", "sys/kernel/hostname",
    "sys/fs/binfmt_misc/register", "sys/kernel/randomize_va_space", "irq/default_smp_affinity",
    "sys/kernel/ns_last_pid", "sys/user/max_user_namespaces"):
    escaped("write /proc/" + path, lambda: written("/proc/" + path, open("/proc/" + path).read() if path.startswith("sys/") else "x"))
escaped("write uevent_helper", lambda: written("/sys/kernel/uevent_helper"))
groups = [glob.glob("/sys/fs/cgroup/**/" + name, recursive=True)[:3] for name in ("release_agent", "cgroup.procs")]
for path in groups[0] + groups[1]:
    escaped("write " + path, lambda: written(path, "0"))
for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse", "/dev/net/tun"):
    escaped("open " + path, lambda: os.open(path, os.O_RDWR))
"""

NEIGHBOURS = """
for process in filter(str.isdigit, os.listdir("/proc")):
    if int(process) != os.getpid():
        print("sees process", process)
escaped("parent", lambda: os.getppid() != 0)
for number in range(3, 4096):
    escaped("inherited descriptor %d" % number, lambda: os.fstat(number))
for path in ("/proc/1/root/root", "/proc/1/cwd/../root/.ssh", "/proc/self/root/../../root", "/proc/self/cwd/../../../home"):
    escaped("entries of " + path, lambda: os.listdir(path))
escaped("ptrace of a parent", lambda: libc.ptrace(16, os.getppid() or 999999, 0, 0) == 0)
names = open("/proc/net/unix").read()
escaped("abstract sockets of others", lambda: "@" in names)
escaped("core dumps", lambda: __import__("resource").getrlimit(4)[1] != 0)
"""


async def attempts(w: World, script: str, **extra: object) -> list[str]:
    """Names of what succeeded."""
    end, text = await w.run([PYTHON, "-I", "-S", "-c", PRELUDE + script], **extra)
    assert end.code == 0, text
    return text.splitlines()


def test_what_succeeds_is_told(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        assert await attempts(w, 'escaped("this", lambda: readable("/etc/hosts"))') == ["this"]

    tier.drive(story)


@pytest.mark.parametrize("script", [SYSTEM_CALLS, KERNEL_FILES, NEIGHBOURS], ids=["calls", "files", "neighbours"])
def test_attempts_from_inside(tier: Tier, script: str) -> None:
    async def story(w: World) -> None:
        await w.pod("a")
        await w.pod("b")
        await w.start(["/bin/sleep", "1000"], name="beside")
        await w.start(["/bin/sleep", "1000"], pod="b")
        assert await attempts(w, script) == []
        assert await attempts(w, script, security=Security(uid=1000, gid=1000)) == []

    tier.drive(story)


def test_settings_of_the_machine_are_closed_even_to_the_privileged(tier: Tier) -> None:
    """Root of a pod may be root of the machine, whose settings trust their owner."""
    closing = """
for path in ("sys/kernel/core_pattern", "sysrq-trigger"):
    escaped("write /proc/" + path, lambda: written("/proc/" + path, "core"))
subprocess.run("umount -l /proc/sys /proc/sysrq-trigger; mount -o remount,rw,bind /proc/sys; mkdir /p; mount -t proc proc /p", shell=True,
    stderr=subprocess.DEVNULL)
for top in ("/proc", "/p"):
    for path in ("sys/kernel/core_pattern", "sysrq-trigger"):
        escaped("write after mounting " + path, lambda: os.path.exists(top + "/sys") and written(top + "/" + path, "core"))
escaped("device", lambda: os.mknod("/disk", 0o60600, os.makedev(254, 0)) is None and os.open("/disk", os.O_RDONLY))
escaped("root of the machine", lambda: "lightship" in str(os.listdir("/proc/1/root/home")))
"""
    with open("/proc/sys/kernel/core_pattern") as file:
        before = file.read()

    async def story(w: World) -> None:
        await w.pod()
        for security in (
            Security(privileged=True),
            Security(add_capabilities=["ALL"], seccomp="Unconfined"),
            Security(add_capabilities=["ALL"]),
        ):
            assert await attempts(w, closing, security=security) == []

    tier.drive(story)
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_files_of_the_machine_and_of_other_pods(tier: Tier) -> None:
    """Homes, keys, the platform's own files, another pod's volumes and token: by path, link, hard link and the root's parent."""
    other = tier.directory / "pod-b"
    token = other / "token"
    other.mkdir()
    token.write_text("of another pod")
    mine = tier.directory / "mine"
    mine.mkdir()
    (mine / "absolute").symlink_to(token)
    (mine / "up").symlink_to("../../../../../../../../../../../../" + str(token))
    for path in (mine, other):
        path.chmod(0o777)
    looks = [str(token), "/volume/absolute", "/volume/up", f"/proc/self/root{token}", f"/proc/1/root{token}", "/etc/shadow", "/root/.ssh"]
    looks += ["/root/.bashrc", "/home/*", "/var/lib/*/*", str(Path.home() / ".lightship"), f"/volume/../..{token}", "/etc/ssl/private/*"]
    script = f"""
for pattern in {looks!r}:
    for path in glob.glob(pattern):
        escaped("read " + path, lambda: os.path.isdir(path) and os.listdir(path) or readable(path))
escaped("hard link", lambda: os.link("/etc/hostname", "/volume/hard") is None)
escaped("rename out", lambda: os.rename("/volume/absolute", "/usr/absolute") is None)
"""

    async def story(w: World) -> None:
        await w.pod()
        assert await attempts(w, script, mounts=[Mount(source=str(mine), target="/volume")]) == []

    tier.drive(story)


def test_messages_and_logs_do_not_follow_links(tier: Tier) -> None:
    """What the node reads or writes for a pod stays what it was, whatever the pod puts in its place."""
    message, precious = tier.directory / "message", tier.directory / "precious"
    message.write_text("")
    precious.write_text("precious")
    for path in (message, precious):
        path.chmod(0o666)

    async def story(w: World) -> None:
        await w.pod()
        script = (
            f"rm -f /dev/termination-log; ln -sf {precious} /dev/termination-log; mv /dev/termination-log /dev/x; echo bad > {precious}"
        )
        _, text = await w.sh(script, mounts=[Mount(source=str(message), target="/dev/termination-log")])
        assert "bad" not in text

    tier.drive(story)
    assert not message.is_symlink()
    assert precious.read_text() == "precious"


def test_a_link_that_changes_while_mounts_are_made(tier: Tier) -> None:
    """One container swaps a directory for a link, over and over, while others mount below it."""
    volume, precious = tier.directory / "volume", tier.directory / "precious"
    for path in (volume, precious):
        path.mkdir()
        path.chmod(0o777)
    swap = f"cd /v; while :; do mkdir -p a/b; mv a c; ln -s {precious} a; rm a; mv c a; done 2>/dev/null"

    async def story(w: World) -> None:
        await w.pod()
        mounts = [Mount(source=str(volume), target="/v")]
        racer = await w.start(["/bin/sh", "-c", swap], name="racer", mounts=mounts)

        async def once(number: int) -> None:
            with contextlib.suppress(ContainerError):  # what it wanted to mount on may be gone
                await w.sh("touch /v/a/b/deep/x /v/a/b/x", name=f"n{number}", mounts=[*mounts, Mount(target="/v/a/b/deep")])

        for start in range(0, 24, 4):
            await asyncio.gather(*(once(start + offset) for offset in range(4)))
        await w.runtime.signal(racer, signal.SIGKILL)

    tier.drive(story)
    assert not list(precious.iterdir())


def test_sockets_keys_and_signals_of_the_machine(tier: Tier) -> None:
    name = f"\0lightship-escape-{os.getpid()}"
    path = str(tier.directory / "socket")
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as named:
        for listener, address in ((abstract, name), (named, path)):
            listener.bind(address)
            listener.listen()
        script = f"""
import signal
def connected(address):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(address)
        return True
escaped("abstract socket", lambda: connected({name!r}))
escaped("socket by path", lambda: connected({path!r}))
for number in (1, 2, {os.getpid()}, {os.getppid()}, -1):
    if number not in (1, -1):
        escaped("signal %d" % number, lambda: os.kill(number, 0) is None)
escaped("all signals", lambda: os.kill(-1, signal.SIGKILL) is None)
escaped("key", lambda: call(250, 0, -3, 0) and platform.machine() == "x86_64")
for service in (22, 2379, 6443, 10250):
    with socket.socket() as s:
        escaped("port %d of the machine" % service, lambda: s.connect_ex(("127.0.0.1", service)) == 0)
"""

        async def story(w: World) -> None:
            await w.pod()
            assert await attempts(w, script) == []
            assert processes("launcher.main")

        tier.drive(story)


def test_core_dumps_and_set_uid_programs_stay_inside(tier: Tier) -> None:
    script = "id -u; test -u /usr/bin/su && /usr/bin/su -c 'cat /proc/self/uid_map' </dev/null; grep CapBnd /proc/self/status"

    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.sh(script, security=Security(uid=1000, gid=1000, drop_capabilities=["ALL"]))
        assert text.splitlines()[0] == "1000"
        assert text.splitlines()[-1].split() == ["CapBnd:", "0000000000000000"]
        crash = await w.sh("ulimit -c unlimited 2>/dev/null; kill -SEGV $$; sleep 0.1; ls core* 2>/dev/null", name="crash")
        assert "core" not in crash[1]

    tier.drive(story)


def test_who_sees_all_processes_does_not_get_into_them(tier: Tier) -> None:
    """`hostPID` shows those that hold the pods as well, whose root directory is the machine's."""
    script = """
own = os.readlink("/proc/self")
found = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if pid != own]
print("seen" if found else "none")
for pid in found:
    if "sleep" in open("/proc/" + pid + "/cmdline").read():
        continue
    for path in ("/root/root", "/root/etc/shadow", "/cwd/root", "/root/home", "/environ", "/mem", "/ns/mnt", "/fd/0", "/fd/3"):
        place = "/proc/" + pid + path
        escaped(place, lambda: os.listdir(place) is not None if os.path.isdir(place) else os.open(place, os.O_RDONLY))
    escaped("trace " + pid, lambda: libc.ptrace(16, int(pid), 0, 0) == 0)
"""

    async def story(w: World) -> None:
        await w.pod(host_processes=True)
        await w.pod("b")
        await w.start(["/bin/sleep", "1000"], pod="b")
        for security in (
            Security(),
            Security(add_capabilities=["SYS_PTRACE"]),
            Security(add_capabilities=["ALL"], seccomp="Unconfined"),
            Security(privileged=True),
        ):
            assert await attempts(w, script, security=security) == ["seen"]

    tier.drive(story)


def test_keys_of_one_pod_are_not_those_of_another(tier: Tier) -> None:
    add = """
libc.syscall.argtypes = None
key = libc.syscall(248, b"user", b"lightship-secret", b"x", 1, ctypes.c_long(-3)) if platform.machine() == "x86_64" else 1
print("added" if key > 0 else "none")
"""
    find = """
escaped("found", lambda: platform.machine() == "x86_64" and libc.syscall(249, b"user", b"lightship-secret", None, ctypes.c_long(0)) > 0)
"""

    async def story(w: World) -> None:
        await w.pod("a")
        await w.pod("b")
        free = Security(seccomp="Unconfined")
        assert await attempts(w, add, pod="a", security=free) == ["added"]
        assert await attempts(w, find, pod="b", security=free) == []

    tier.drive(story)
