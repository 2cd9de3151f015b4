"""One virtual machine that runs one command: this host's files read-only, another kernel, real version 2 of control groups.

`__main__` and tests call `run`. The file system comes through virtiofs from a daemon that sees it read-only itself, so that nothing
in the machine can harm it; what is written goes to a scratch disk that is gone afterwards. There is no network but the loopback.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from . import kernel

HERE = Path(__file__).parent
DAEMONS = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
PACKAGES = "qemu-system-x86 busybox-static kmod e2fsprogs"
TIMED_OUT = 124
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Wanted(NamedTuple):
    """What the machine is like. Memory in MiB, seconds until it is ended."""

    user: str = "root"
    """`root`, `user` (uid 1001, as somebody who has just logged in) or `delegated` (the same in a scope that was handed to them)."""
    systemd: bool = False
    memory: int = 4096
    cpus: int = 2
    disk: int = 8192
    seconds: float = 600.0
    sysctls: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Kernel modules that there are not."""
    parameters: str = ""
    """For the kernel."""


class Ended(NamedTuple):
    """`status` is the command's, 124 when time was up, 125 when the machine itself failed; `console` is what the kernel said."""

    status: int
    console: str


def missing() -> str:
    """Why there can be no machines here; empty when there can."""
    if os.geteuid() != 0:
        return "the file system is shared by root only"
    tools = ("qemu-system-x86_64", "depmod", "mkfs.ext4", "apt-get", "unshare")
    gone = [tool for tool in tools if shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") is None]
    if not any(map(os.path.exists, DAEMONS)):
        gone.append("virtiofsd")
    if not os.path.exists("/bin/busybox"):
        gone.append("busybox")
    return f"missing: {', '.join(gone)} (Debian packages {PACKAGES})" if gone else ""


def fast() -> bool:
    """Whether the processor runs machines itself. A /dev/kvm alone does not say so: some run kernels made for them only."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool(flags & {"vmx", "svm"})


def run(command: str, wanted: Wanted, say: Callable[[bytes], object], repository: Path) -> Ended:
    """Boot, run a shell command in the repository, pass on what it prints, turn off."""
    with tempfile.TemporaryDirectory(prefix="vm-", dir="/var/tmp") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        console = directory / "console"
        scratch = directory / "scratch"
        with scratch.open("wb") as file:
            file.truncate(wanted.disk << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "nodiscard", scratch], check=True)
        base = kernel.unpacked()
        (directory / "first").write_bytes(kernel.first_files(base, _own_files(command, wanted, repository, base)))
        stack.enter_context(_shared(directory / "fs"))
        output, status = _Pipe(stack), _Pipe(stack)
        arguments = _arguments(directory, kernel.vmlinuz(base), wanted, output.write, status.write)
        log = stack.enter_context((directory / "qemu").open("wb"))
        machine = subprocess.Popen(
            arguments, pass_fds=(output.write, status.write), stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
        stack.callback(_end, machine)
        signal.setitimer(signal.ITIMER_REAL, wanted.seconds)
        stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        late = False

        def time_is_up(number: int, frame: object) -> None:
            nonlocal late
            late = True
            machine.kill()

        signal.signal(signal.SIGALRM, time_is_up)
        for text in output.read():
            say(text)
        told = b"".join(status.read()).strip()
        machine.wait()
        said = console.read_text(errors="replace") + (directory / "qemu").read_text(errors="replace")
        return Ended(int(told) if told else TIMED_OUT if late else 125, said)


class _Pipe:
    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._read, self.write = os.pipe()
        stack.callback(os.close, self._read)
        self._stack = stack

    def read(self) -> Iterator[bytes]:
        """Until the other side is gone; ours is closed first."""
        os.close(self.write)
        while text := os.read(self._read, 65_536):
            yield text


def _own_files(command: str, wanted: Wanted, repository: Path, base: Path) -> dict[str, bytes]:
    settings = {
        "REPO": str(repository),
        "AS": wanted.user,
        "SYSTEMD": "1" if wanted.systemd else "",
        "SYSCTLS": " ".join(wanted.sysctls),
        "WITHOUT": " ".join(wanted.without),
        "MODULES": str(base),
    }
    files = {name: (HERE / f"{name}.sh").read_bytes() for name in ("init", "start", "modprobe")}
    files["vm.service"] = (HERE / "vm.service").read_bytes()
    files["settings"] = "".join(f"{key}='{value}'\n" for key, value in settings.items()).encode()
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=repository, check=True, capture_output=True).stdout
    options = ["--null", "--ignore-failed-read", "-T", "-"]
    files["tree.tar"] = subprocess.run(["tar", "-c", *options], cwd=repository, input=listed, check=True, capture_output=True).stdout
    files["command"] = f"cd '{repository}'\n{command}\n".encode()
    return files


@contextlib.contextmanager
def _shared(listening: Path) -> Iterator[None]:
    """A daemon that shows this host's files, in a mount namespace of its own where they cannot be written to."""
    daemon = next(path for path in DAEMONS if os.path.exists(path))
    inner = 'mount -o remount,bind,ro / && mount -t tmpfs tmpfs /run && exec "$@"'

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        server.listen(1)
        options = ["-o", "source=/,cache=always,sandbox=chroot,xattr,log_level=err", f"--fd={server.fileno()}", "-f"]
        process = subprocess.Popen(
            [*ENDS_WITH_US, "unshare", "-m", "sh", "-c", inner, "sh", daemon, *options],
            pass_fds=(server.fileno(),),
            stdin=subprocess.DEVNULL,
            stderr=None if os.environ.get("VM_VERBOSE") else subprocess.DEVNULL,
            process_group=0,
        )
    try:
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _arguments(directory: Path, vmlinuz: Path, wanted: Wanted, output: int, status: int) -> list[str]:
    words = f"console=ttyS0 rdinit=/init panic=-1 quiet mitigations=off random.trust_cpu=on systemd.show_status=0 {wanted.parameters}"
    return [
        *(*ENDS_WITH_US, "qemu-system-x86_64"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *(("-accel", "kvm", "-cpu", "host") if fast() else ("-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "Nehalem,+rdrand")),
        *("-smp", str(wanted.cpus), "-m", str(wanted.memory)),
        *("-object", f"memory-backend-memfd,id=memory,size={wanted.memory}M,share=on", "-numa", "node,memdev=memory"),
        *("-kernel", str(vmlinuz), "-initrd", str(directory / "first"), "-append", words),
        *("-serial", f"file:{directory / 'console'}"),
        *("-chardev", f"socket,id=fs,path={directory / 'fs'}", "-device", "vhost-user-fs-pci,chardev=fs,tag=host,queue-size=1024"),
        *("-drive", f"file={directory / 'scratch'},if=virtio,format=raw,cache=unsafe"),
        *("-device", "virtio-serial-pci,max_ports=4"),
        *("-chardev", f"file,id=output,path=/dev/fd/{output}", "-device", "virtserialport,nr=1,chardev=output"),
        *("-chardev", f"file,id=status,path=/dev/fd/{status}", "-device", "virtserialport,nr=2,chardev=status"),
    ]
