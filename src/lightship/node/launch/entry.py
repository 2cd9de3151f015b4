"""What `python` and the commands of an environment mean where a container looks first: asks for a fork of the environment's template.

Runs in the container, as its user, by `python -I -S`, for whatever a shell or another program there starts. It finds the program that
would have been executed, hands over all that exec would have kept, stays in its place (signals go on to the program, its end becomes
ours), and executes the real one whenever that is refused, takes too long or is not certain. Stands alone, and is quick to load.
The other side: `desk` lets in who is as its container is, `handover` reads what is told here. Nothing here is trusted by either.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, which takes two milliseconds
import _socket
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # to load these takes longer than all the rest
    from collections.abc import Callable, Iterator
    from types import FrameType

_PATIENCE = 3.0
"""Seconds; whoever has not begun by then is executed."""
_SWITCH = b"LIGHTSHIP_WARM"
_MOST_FILES = 200
_CREDENTIALS = 2  # SCM_CREDENTIALS
_PASS_CREDENTIALS = 16  # SO_PASSCRED
_STOPS = frozenset({_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGCHLD, _signal.SIGCONT, _signal.SIGURG, _signal.SIGWINCH})
"""Signals that are left to do to us what they do."""

Status = dict[bytes, bytes]


def main() -> None:
    """Begin the program that is called by our name; returns never."""
    place, name = os.path.split(sys.argv[0])
    arguments = [os.fsencode(word) for word in sys.argv[1:]]
    with open("/proc/self/environ", "rb") as file:  # our own variables may be one more
        variables = [line for line in file.read().split(b"\0") if b"=" in line]
    env = dict(line.split(b"=", 1) for line in variables)
    real = _find(os.fsencode(name), env, os.fsencode(place))
    try:
        status = _status()
        if _may_be_forked(name, arguments, env, status):
            _fork(os.path.dirname(place), os.fsencode(name), real, arguments, variables, status)
    except OSError:
        pass  # no door, nobody behind it, or no answer
    _execute(real, arguments, env)


def _execute(real: bytes, arguments: list[bytes], env: dict[bytes, bytes]) -> None:
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)  # an interpreter ignores them
    try:
        os.execve(real, [real, *arguments], env)
    except OSError as error:
        os.write(2, os.fsencode(f"{os.fsdecode(real)}: {error.strerror}\n"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _find(name: bytes, env: dict[bytes, bytes], place: bytes) -> bytes:
    """What would have been executed, were we not there."""
    for directory in env.get(b"PATH", b"").split(b":"):
        path = os.path.join(directory or b".", name)
        if os.path.realpath(directory or b".") != place and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    beside = os.path.join(os.path.dirname(os.fsencode(sys.executable)), name)
    return beside if os.path.exists(beside) else name


def _may_be_forked(name: str, arguments: list[bytes], env: dict[bytes, bytes], status: Status) -> bool:
    """Whether it is worth asking. What is decided here is decided again by those who know."""
    if env.get(_SWITCH, b"").lower() in (b"0", b"no", b"off", b"false") or status[b"TracerPid"] != b"0":
        return False
    if os.sched_getscheduler(0) != os.SCHED_OTHER or _personality() not in (b"00000000", b""):
        return False
    if name.startswith("python"):
        rest = list(arguments)
        while rest and rest[0][:1] == b"-" and rest[0][1:] and not rest[0][1:].strip(b"uB"):
            rest.pop(0)
        if not rest or (rest[0].startswith(b"-") and rest[0] not in (b"-c", b"-m")):
            return False
    return not any(os.isatty(number) for number in range(3))


def _personality() -> bytes:
    with open("/proc/self/personality", "rb") as file:
        return file.read().strip()


def _status() -> Status:
    with open("/proc/self/status", "rb") as file:
        return {key: value.strip() for key, _, value in (line.partition(b":") for line in file)}


def _fork(home: str, name: bytes, real: bytes, arguments: list[bytes], variables: list[bytes], status: Status) -> None:
    """Returns when it is for us to execute the program. Raises `OSError` when nobody answers."""
    numbers = [0, 1, 2, *_inherited()]
    for number in numbers[:3]:
        os.fstat(number)  # one that is closed stays so with exec only
    if len(numbers) > _MOST_FILES:
        return
    door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    door.setsockopt(_socket.SOL_SOCKET, _PASS_CREDENTIALS, 1)
    door.settimeout(_PATIENCE)
    door.connect(f"{home}/door")
    facts = b" ".join(_facts(status))
    files = b" ".join(b"%d" % number for number in numbers)
    fields = [real, facts, files, b"%d" % (len(arguments) + 1), name, *arguments, *variables]
    holder = os.memfd_create("program")
    _write(holder, b"\0".join(fields))
    here = os.open(".", os.O_PATH | os.O_DIRECTORY)
    _send(door, b"?", [holder, here, *numbers])
    pid = _answered(door)
    if not pid:
        door.close()
        return
    # Only who may look into the program gets this far: whoever confined itself may not.
    proof = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
    _relay(pid, int(status[b"SigIgn"], 16))
    _send(door, b"!", [proof])
    for number in (*numbers, holder, here, proof):
        os.close(number)  # whoever waits for their end shall not wait for us
    door.settimeout(None)
    told, _, _, _ = door.recvmsg(64)
    _end_as(int(told) if told else _signal.SIGKILL)


def _inherited() -> "Iterator[int]":
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                yield int(name)
        except OSError:
            pass  # the one that lists the directory


def _facts(status: "Status") -> "Iterator[bytes]":
    """What a process has of its own and keeps through exec, as `handover.Facts` has it."""
    yield status[b"Umask"]
    yield status[b"SigBlk"]
    yield status[b"SigIgn"]
    yield b"%d" % os.getpriority(os.PRIO_PROCESS, 0)
    yield b",".join(b"%d" % cpu for cpu in sorted(os.sched_getaffinity(0)))
    limits = (getattr(resource, limit) for limit in dir(resource) if limit.startswith("RLIMIT_"))
    yield b",".join(b"%d:%d:%d" % (limit, *resource.getrlimit(limit)) for limit in sorted(set(limits)))


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _send(door: _socket.socket, body: bytes, fds: list[int]) -> None:
    packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    door.sendmsg([body], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def _answered(door: _socket.socket) -> int:
    """The process that will be the program, by its number here; 0 when there is none."""
    body, ancillary, _, _ = door.recvmsg(64, 64)
    for _, kind, data in ancillary:
        if kind == _CREDENTIALS and body == b"+":
            return int.from_bytes(data[:4], sys.byteorder)
    return 0


def _relay(pid: int, ignored: int) -> None:
    """What is sent to us is for the program."""

    def forward(number: int, frame: "FrameType | None") -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # its end is on its way to us

    relayed: Callable[[int, FrameType | None], object] = forward
    for number in range(1, 65):
        if number not in (_signal.SIGKILL, _signal.SIGSTOP, *_STOPS) and not (ignored >> (number - 1)) & 1:
            try:
                _signal.signal(number, relayed)
            except (OSError, ValueError):
                pass  # two belong to the C library
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _end_as(status: int) -> None:
    """End as a process with this wait status has."""
    if status & 0x7F:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        number = status & 0x7F
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(status >> 8)


if __name__ == "__main__":
    main()
