"""Programs that a container's own processes start, a shell above all: forked from a template as well, and as if they had been executed."""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from lightship.node.runtimes.runtime import Security, Warm

from .contract import World, until
from .test_sandbox_volumes import Story
from .test_warm import FACTS, MARK, Case, Warmed, lines, tell, text_of

__all__ = ["tell"]
pytestmark = pytest.mark.slow


class Knocking(Warmed):
    """A pod, and a template of an environment with libraries: what others load is worth a door."""

    def __init__(self, w: World) -> None:
        super().__init__(w)
        self.warm = Warm(environment="e", python=self.python, libraries=["wave"])


SAY = MARK + "import os; print(sys.argv[1:], *map(eval, sys.argv[1:]))"
"""A program that says what its arguments come to."""
SAYS = {"say.py": SAY}


def shell(text: str, files: dict[str, str] | None = None, *, warm: bool = True, env: dict[str, str] | None = None, **extra: Any) -> Case:
    """`$SAY` stands for the program that says."""
    variables = {"SAY": "python3 /code/say.py", **(env or {})}
    return Case(["/bin/sh", "-c", text], {"main.py": MARK + FACTS, **SAYS, **(files or {})}, variables, warm, extra)


DROPPING = """import os, sys
os.environ.pop("LC_CTYPE", None)
os.setgroups([]); os.setgid(1234); os.setuid(1234)
os.execvp("python3", ["python3", "-u", "/code/say.py", "os.getuid()"])"""
FILTERING = """import ctypes, os
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
os.environ.pop("LC_CTYPE", None)
os.execvp("python3", ["python3", "-u", "/code/say.py", "open('/proc/self/status').read().partition('NoNewPrivs:')[2].split()[0]"])"""
PASSING = (
    MARK
    + """import os, subprocess
r, w = os.pipe()
text = "import os, sys; os.write(int(sys.argv[1]), b'through'); sys.exit(3)"
done = subprocess.run(["python3", "-c", text, str(w)], pass_fds=[w])
print(os.read(r, 100), done.returncode, os.waitstatus_to_exitcode(os.system("python3 -c 'raise SystemExit(7)'")))"""
)

CASES = {
    "a script": shell("python3 /code/main.py 'a b' --c; echo $?"),
    "code": shell("python3 -u -c \"$TEXT\"", env={"TEXT": MARK + FACTS}),
    "a module": shell("cd /code; python3 -m main x"),
    "in place of the shell": shell("exec python3 /code/main.py"),
    "another user": shell("python3 /code/main.py", security=Security(uid=1234, gid=1234)),
    "no escalation": shell("python3 /code/main.py", security=Security(uid=1234, gid=1234, allow_escalation=False)),
    "a root that cannot be written": shell("python3 /code/main.py", security=Security(read_only_root=True)),
    "codes": shell(
        "for c in 0 3 255; do python3 -c \"$TEXT\" $c; echo $?; done", env={"TEXT": MARK + "sys.exit(int(sys.argv[1]))"}
    ),
    "signals": shell(
        'for s in 1 2 9 11 15 40; do python3 -c "$TEXT" $s; echo $?; done',
        env={"TEXT": "import os, sys; os.kill(os.getpid(), int(sys.argv[1]))"},
    ),
    "input": shell("printf 'one\\ntwo' | $SAY 'sys.stdin.readline()' 'sys.stdin.read()' 'sys.stdin.seekable()'"),
    "input in part": shell("(read a; $SAY 'sys.stdin.tell()' 'sys.stdin.read()') < /code/text", {"text": "one\ntwo\n"}),
    "output to files": shell(
        "$SAY 1 >/tmp/out 2>&1; $SAY 2 'sys.stdout.seekable()' 'sys.stdout.tell()' >>/tmp/out; cat /tmp/out"
    ),
    "a pipe": shell("$SAY 'sys.stdout.seekable()' | cat"),
    "other files": shell("exec 7>/tmp/seven; $SAY 'os.write(7, b\"x\")' 'sorted(os.listdir(\"/proc/self/fd\"))'; cat /tmp/seven"),
    "a file that is closed": shell("$SAY 'sys.stdin' <&-", warm=False),
    "a mask and limits": shell(
        "umask 077; ulimit -n 100; ulimit -c 0; nice -n 5 $SAY 'os.umask(0)' '__import__(\"resource\").getrlimit(7)' "
        "'os.nice(0)' 'len(os.sched_getaffinity(0))'"
    ),
    "a processor": shell("taskset -c 0 $SAY 'os.sched_getaffinity(0)'"),
    "ignored signals": shell(
        "trap '' INT HUP USR1; $SAY '[__import__(\"signal\").getsignal(n) for n in range(1, 32)]' "
        "'[l for l in open(\"/proc/self/status\") if l.startswith(\"Sig\")]'"
    ),
    "no variables": shell("env -i $(command -v python3) -u /code/say.py 'dict(os.environ)'", warm=False),
    "other variables": shell("unset PWD; A=1 HOME=/tmp $SAY '{**os.environ, \"PATH\": 0}'"),
    "a language": shell("LC_ALL=C.UTF-8 $SAY 1", warm=False),
    "what is read at the start": shell("PYTHONHASHSEED=1 $SAY 'hash(\"a\")'; LD_BIND_NOW=1 $SAY 1", warm=False),
    "options": shell("python3 -I -u /code/say.py 'sys.flags'; python3 -X dev -u /code/say.py 'sys.flags'; python3 -V", warm=False),
    "a program from its input": shell("echo 'print(1)' | python3; python3 - <<E\nprint(2)\nE"),
    "switched off": shell("LIGHTSHIP_WARM=0 $SAY 1", warm=False),
    "no such script": shell("python3 /nowhere.py 2>/dev/null; echo $?"),
    "another directory": shell("mkdir -p /tmp/d; cd /tmp/d; cp /code/say.py .; python3 ./say.py 'os.getcwd()' 'sys.path[0]' '__file__'"),
    "a directory that is gone": shell("mkdir -p /tmp/d; cd /tmp/d; rmdir /tmp/d; $SAY 1; echo $?", warm=False),
    "long arguments": shell("$SAY \"'$(printf %0100000d 1)'\" | tail -c 300"),
    "descriptors and processes": Case(["python3", "/code/main.py"], {"main.py": PASSING}),
    "in the background": shell("python3 -c \"$TEXT\" & kill -15 $!; wait $!; echo $?", env={"TEXT": "import signal; signal.pause()"}),
    "nohup and timeout": shell("nohup $SAY 1; timeout 0.3 python3 -c 'import signal; signal.pause()'; echo $?"),
    "fewer rights": shell(f"python3 -S -c '{DROPPING}'", warm=False),
    "no new rights": shell(f"python3 -S -c '{FILTERING}'", warm=False),
    "an own search path": shell(
        "PATH=/tmp/bin:$PATH; mkdir /tmp/bin; printf '#!/bin/sh\\necho mine' >/tmp/bin/python3; chmod 755 /tmp/bin/python3; python3 x"
    ),
    "found by those who ask": shell("$SAY 'sys.executable' 'sys.orig_argv[1:]' 'sys.prefix'"),
}  # fmt: skip


def seen(result: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without what is known to differ: where commands are found first, and whose child a program is."""
    code, signum, out, err, marked = result
    normal = [[re.sub(r" [01] 18 (True|False)", " ", line.replace("/run/lightship/bin:", "")) for line in part] for part in (out, err)]
    return code, signum, *normal, marked


@pytest.mark.parametrize("part", range(9))
def test_programs_that_a_shell_starts_behave_as_executed_ones(tell: Callable[[Story], None], part: int) -> None:
    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        wrong: dict[str, Any] = {}
        for name, case in [*CASES.items()][part::9]:
            knocking.lay_out(case.files)
            cold, warm = [seen(await knocking.run(case, warm=choice)) for choice in (False, True)]
            if warm[:4] != cold[:4]:
                wrong[name] = [(a, b) for a, b in zip(lines(cold), lines(warm), strict=False) if a != b] or (cold, warm)
            elif warm[4] is not None and warm[4] != case.warm:
                wrong[name] = f"forked: {warm[4]}"
            assert cold[4] in (None, False)
        assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())

    tell(story)


FORGED = (
    MARK
    + """import array, os, socket, struct
def ask(*packets):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        s.connect("/run/lightship/door")
        try:
            for body, fds in packets: socket.send_fds(s, [body], fds)
            said = s.recv(64)
            if said == b"+" : s.send(b"!"); return s.recv(64)
            return said
        except OSError as error: return type(error).__name__
def memfd(data):
    fd = os.memfd_create("x"); os.write(fd, data); os.lseek(fd, 0, 0); return fd
here = os.open(".", os.O_PATH)
facts = b"0022 0 0 0 0 7:10:10"
text = lambda *fields: memfd(b"\\0".join(fields))
touch = [b"3", b"python3", b"-c", b"open('/mark/forged', 'w')"]
real, variables = sys.executable.encode(), [k + b"=" + v for k, v in os.environb.items()]
high = b"0022 0 0 -20 0 7:99999999:99999999"
lies = {
    "nothing": (),
    "garbage": ((os.urandom(64), []),),
    "too few": ((b"?", [here]),),
    "no program": ((b"?", [memfd(b""), here, 0, 1, 2]),),
    "not a file": ((b"?", [here, here, 0, 1, 2]),),
    "numbers": ((b"?", [text(b"/bin/python3", facts, b"0 1 99999999999", *touch), here, 0, 1, 2]),),
    "twice": ((b"?", [text(b"/bin/python3", facts, b"0 1 1", *touch), here, 0, 1, 2]),),
    "more than allowed": ((b"?", [text(real, high, b"0 1 2", *touch), here, 0, 1, 2]),),
    "no proof": ((b"?", [text(real, facts, b"0 1 2", *touch, *variables), here, 0, 1, 2]),),
}
for name, packets in lies.items(): print(name, ask(*packets))
"""
)


def test_forged_requests_gain_nothing(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        knocking.lay_out({"main.py": FORGED, **SAYS})
        told = await knocking.run(Case(["python3", "-u", "/code/main.py"]), warm=True)
        assert told[:2] == (0, 0), told
        assert len(told[2]) == 9
        assert not (knocking.mark / "forged").exists()
        assert (await knocking.run(shell("python3 /code/say.py 1", SAYS), warm=True))[4] is True, "others are served"

    tell(story)


FLOOD = """
import os, socket, time
held = []
for n in range(2000):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(5)
    try:
        s.connect("/run/lightship/door")
        if n % 3: s.close()
        else: held.append(s)
    except OSError: pass
    if len(held) > 500: held.pop(0).close()
print("flooded", flush=True)
"""


def test_a_flood_of_requests_holds_up_nobody_and_leaves_nothing(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        before = len(os.listdir("/proc/self/fd"))
        knocking = Knocking(w)
        await knocking.ready()
        held = len(os.listdir("/proc/self/fd"))
        knocking.lay_out(SAYS)
        pid = knocking.templates.known()[0].pid
        flood = Case(["python3", "-u", "-c", FLOOD])
        assert (await knocking.run(flood, warm=True))[2] == ["flooded"]
        assert (await knocking.run(Case(["python3", "/code/say.py", "1"]), warm=True))[4] is True, "a container's own program is forked"
        assert len(os.listdir("/proc/self/fd")) == held
        await until(lambda: text_of(f"/proc/{pid}/task/{pid}/children") == "")
        await w.pod("b")
        assert "up" in (await w.run(["/bin/sh", "-c", "echo up"], pod="b"))[1]
        await w.runtime.remove_sandbox("uid-a")
        await w.runtime.remove_sandbox("uid-b")
        knocking.templates.give_back()
        assert len(os.listdir("/proc/self/fd")) == before

    tell(story)


def test_a_program_ends_with_the_one_that_was_started_for_it(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        text = "import os, signal; open('/mark/draft', 'w').write(str(os.getpid())); os.rename('/mark/draft', '/mark/here'); signal.pause()"
        kill = "until [ -e /mark/here ]; do :; done; kill -9 $!; wait $!; echo $?; "
        kill += "while kill -0 $(cat /mark/here) 2>/dev/null; do :; done; echo gone"
        case = shell(f'python3 -c "{text}" & {kill}')
        told = await knocking.run(case, warm=True)
        assert told[2] == ["137", "gone"]

    tell(story)


def test_without_an_answer_programs_are_executed(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        knocking.lay_out(SAYS)
        pid = knocking.templates.known()[0].pid
        os.kill(pid, signal.SIGSTOP)
        case = Case(["/bin/sh", "-c", "python3 /code/say.py 1; python3 /code/say.py 2"])
        assert (await knocking.run(case, warm=True))[2:] == (["['1'] 1", "['2'] 2"], [], False)
        os.kill(pid, signal.SIGCONT)
        assert (await knocking.run(case, warm=True))[4] is True

    tell(story)


@pytest.mark.parametrize(
    ("installed", "harmless"), [("mine.py", True), ("wave.py", False), ("Wave-1.0.dist-info", False), ("a.pth", False)]
)
def test_what_the_user_has_installed_is_found(tell: Callable[[Story], None], installed: str, harmless: bool) -> None:
    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        place = "D=$(python3 -E -c 'import site; print(site.getusersitepackages())'); mkdir -p $D"
        case = shell(f"{place}; echo x=1 >$D/{installed}; $SAY '__import__(\"site\").ENABLE_USER_SITE' sys.path")
        knocking.lay_out(case.files)
        cold, warm = [seen(await knocking.run(case, warm=choice)) for choice in (False, True)]
        assert warm[:4] == cold[:4]
        assert warm[4] is (harmless or "] False" in warm[2][0])

    tell(story)


CONFINED = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
attributes = struct.pack("Q", 2)  # LANDLOCK_ACCESS_FS_WRITE_FILE, granted nowhere
made = libc.syscall(444, attributes, len(attributes), 0)
if made < 0: print("no landlock", os.strerror(ctypes.get_errno())); raise SystemExit
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.syscall(446, made, 0) == 0
os.closerange(3, 20)
os.environ.pop("LC_CTYPE", None)  # the interpreter has added it, and a template is of another language then
os.execvp("python3", ["python3", "-u", "-c", "open('/mark/escaped', 'w').write('x')"])
"""


def test_who_has_confined_itself_stays_so(tell: Callable[[Story], None]) -> None:
    """Landlock, in a container that may not escalate anyway: nothing in /proc tells them apart."""

    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        knocking.lay_out({"confined.py": CONFINED})
        security = Security(uid=1234, gid=1234, allow_escalation=False)
        told = await knocking.run(shell("python3 -S /code/confined.py", {"confined.py": CONFINED}, security=security), warm=True)
        if "no landlock" in " ".join(told[2]):
            pytest.skip(told[2][0])
        assert "PermissionError" in told[3][-1], told
        assert text_of(str(knocking.mark / "escaped")) == "", "to make a file was allowed"

    tell(story)


NEIGHBOUR = """import os, socket, sys
for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
    door = f"/proc/{name}/root/run/lightship/door"
    try:
        if not os.path.exists(door) or os.path.samefile(door, "/run/lightship/door"): continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(10)
            s.connect(door)
            print("knocked", s.recv(64))
    except OSError as error: print("refused", type(error).__name__)
"""


def test_a_door_is_for_its_own_container_only(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        knocking = Knocking(w)
        await knocking.ready()
        await w.runtime.remove_sandbox("uid-a")
        await w.pod(share_processes=True)
        knocking.lay_out({"neighbour.py": NEIGHBOUR})
        other = await knocking.start(shell("echo up; exec sleep 1000"), warm=True)
        await w.line(other, "up")
        told = await w.exit(await knocking.start(Case(["python3", "-u", "/code/neighbour.py"], extra={"name": "second"}), warm=True))
        said = w.log(told.container_id)
        assert told.code == 0
        assert "knocked b''" in said or "refused" in said, said
        assert "b'+'" not in said

    tell(story)
