"""From fork to exec: what a container's process does to itself before it becomes the user's program.

Called by the init of a sandbox in the freshly forked child, in its own mount namespace. Never returns: it ends in `execve` or in a
report of why not, on the status socket that closes by itself when the program runs.
"""

import binascii
import errno
import os
import resource
import socket
from typing import Any, NoReturn

from . import dispositions, entering, linux, names, rootfs, subpath, terminal, warmth, wire

_NOT_FOUND, _NOT_EXECUTABLE, _FAILED = 127, 126, 128
_PROGRAMS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")


def run(spec: dict[str, Any], files: list[int], status: socket.socket) -> NoReturn:
    """Become the program of `spec` (see `runtimes.layout.container`). `files`: stdin, stdout and stderr, or none for a terminal."""
    try:
        begin(spec, files, status)
        wire.send(status, execute(spec["argv"], spec["env"]))
    except OSError as error:
        refuse(status, error)
    finally:
        os._exit(_FAILED)


def begin(spec: dict[str, Any], files: list[int], status: socket.socket) -> None:
    """All of `run` but the program: afterwards the process has the container's rights, files and limits. Raises `OSError`."""
    entering.enter(spec)
    _close_all_but({0, 1, 2, *files, status.fileno()})
    wire.send(status, {})  # the packet's credentials tell the other side our process id
    _prepare(spec, files, status)


def refuse(status: socket.socket, error: OSError) -> None:
    """Tell the node why `begin` has failed."""
    reason = "CreateContainerConfigError" if isinstance(error, subpath.SubPathError) else "CreateContainerError"
    wire.send(status, {"reason": reason, "message": linux.explain(error), "code": _FAILED})


def begin_beside(spec: dict[str, Any], user: int, kept: set[int]) -> None:
    """As `begin`, in the namespaces of a container that runs, with its root: all but `user`, its user namespace, are entered already."""
    entering.enter(spec)
    _close_all_but({0, 1, 2, *kept, user})
    os.setsid()
    os.umask(0o022)
    _limits()
    if spec["nested"]:
        linux.setns(user, linux.NEW_USER)
    os.close(user)
    _become(spec, joined=True)


def run_beside(spec: dict[str, Any], files: list[int], status: socket.socket, view: int, user: int) -> NoReturn:
    """Become one more program of a container that runs: in its namespaces, which `view` (mounts) and `user` are, with these files."""
    try:
        entering.enter(spec)
        _close_all_but({0, 1, 2, *files, status.fileno(), view, user})
        wire.send(status, {})
        os.setsid()
        linux.setns(view, linux.NEW_NS)  # the root and the directory are that one's from here on
        _take(files, spec, status)
        os.umask(0o022)
        _limits()
        if spec["nested"]:
            linux.setns(user, linux.NEW_USER)
        _become(spec, joined=True)
        wire.send(status, execute(spec["argv"], spec["env"]))
    except OSError as error:
        wire.send(status, {"reason": "StartError", "message": linux.explain(error), "code": _FAILED})
    finally:
        os._exit(_FAILED)


def _close_all_but(kept: set[int]) -> None:
    """Let go of what belongs to the init, before we are one of those that it must be safe from."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed the directory


def _take(files: list[int], spec: dict[str, Any], status: socket.socket) -> None:
    """Read and write these; or, of none, a terminal that is made now, in the session that this process has just begun."""
    if files:
        null = os.fstat(files[0]).st_rdev == os.stat("/dev/null").st_rdev
        # An empty input is the container's own: a descriptor of the host's would lead back to it.
        own = [os.open("/dev/null", os.O_RDONLY) if null else files[0], *files[1:]]
    else:
        master, slave = terminal.make(spec["uid"])
        wire.send(status, {}, [master])
        os.close(master)
        own = [slave] * 3
    for number, source in enumerate(own):
        os.dup2(source, number)
    if not files:
        terminal.become_own(0)


def _prepare(spec: dict[str, Any], files: list[int], status: socket.socket) -> None:
    os.setsid()
    os.umask(0o022)
    rootfs.enter(spec["root"])
    os.makedirs(spec["cwd"], exist_ok=True)
    _take(files, spec, status)
    _limits()
    _become(spec, joined=False)


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit, wanted in ((resource.RLIMIT_NOFILE, 65_536), (resource.RLIMIT_NPROC, 32_768)):
        _soft, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _become(spec: dict[str, Any], *, joined: bool) -> None:
    """Take the asked-for identity and give up all that the program shall not have; the last step before it runs.

    `nested`: this id is not mapped here, so a user namespace of our own gives our id its number; `joined`: we are in it already.
    """
    uid, gid, capabilities = spec["uid"], spec["gid"], spec["capabilities"]
    program = binascii.a2b_base64(spec["filter"])
    if "HOME" not in spec["env"]:
        spec["env"]["HOME"] = names.home_of(uid)
    if spec["nested"] and not joined:
        _nest(uid, gid)
    linux.bound_capabilities(capabilities)  # a user namespace begins with all of them: here, not earlier
    if not spec["nested"]:
        if spec["supplementary"] is not None:
            os.setgroups(spec["supplementary"])
        os.setresgid(gid, gid, gid)
    if program and spec["escalates"]:
        linux.filter_calls(program)  # takes a right that goes with the next lines
    if not spec["nested"]:
        os.setresuid(uid, uid, uid)
    linux.hold_capabilities(() if uid else capabilities)
    os.chdir(spec["cwd"])
    dispositions.forget()
    if not spec["escalates"]:
        linux.forbid_new_privileges()
        if program:
            linux.filter_calls(program)


def _nest(uid: int, gid: int) -> None:
    own_uid, own_gid = os.getuid(), os.getgid()
    linux.unshare(linux.NEW_USER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {own_uid} 1"), ("gid_map", f"{gid} {own_gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def execute(argv: list[str], env: dict[str, str]) -> dict[str, Any]:
    """By exec. Returns only when nothing could be executed: the report to send."""
    program = argv[0]
    found: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    for path in _candidates(program, env["PATH"]):
        # An interpreter that is called by its name alone looks for itself, and would find what stands before it.
        called = [path, *argv[1:]] if "/" not in program and warmth.COMMANDS in env["PATH"].split(":") else argv
        try:
            os.execve(path, called, env)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                found = error
            elif os.path.exists(path):
                return _refusal(f'exec "{path}": the interpreter in its first line is not there', _NOT_FOUND)
    if found.errno == errno.ENOENT:
        where = "no such file" if "/" in program else "executable file not found in $PATH"
        return _refusal(f'exec "{program}": {where}', _NOT_FOUND)
    return _refusal(f'exec "{program}": {found.strerror}', _NOT_EXECUTABLE)


def _candidates(program: str, path: str) -> list[str]:
    """Files to try. A program asked for where images have theirs may be in another such place on this machine."""
    directory, name = os.path.split(program)
    elsewhere = [f"{place or '.'}/{name}" for place in path.split(":") if place != warmth.COMMANDS]
    if not directory:
        return elsewhere
    return [program, *elsewhere] if directory in _PROGRAMS else [program]


def _refusal(message: str, code: int) -> dict[str, Any]:
    return {"reason": "StartError", "message": message, "code": code}
