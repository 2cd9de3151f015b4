"""Run a command in a virtual machine with this host's files, Debian's kernel and real version 2 of control groups.

    python -m tools.vm -- .venv/bin/python -m pytest tests/node
    python -m tools.vm --systemd --as delegated -- .venv/bin/python -m pytest tests/node
    python -m tools.vm --as user --sysctl user.max_user_namespaces=0 -- ./lightship up

Prints what the command prints and ends as it ends; 124 when the time is up, 125 when the machine does not come up (then with its console).
"""

import argparse
import shlex
import sys
from pathlib import Path

from . import machine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.vm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as", dest="user", choices=("root", "user", "delegated"), default="root")
    parser.add_argument("--systemd", action="store_true", help="systemd is process 1")
    parser.add_argument("--memory", type=int, default=4096, metavar="MIB")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--sysctl", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--without", action="append", default=[], metavar="MODULE", help="a kernel module that cannot be loaded")
    parser.add_argument("--parameters", default="", help="more for the kernel's command line")
    parser.add_argument("--console", action="store_true", help="show what the kernel said, at the end")
    parser.add_argument("-c", dest="script", help="a shell script instead of a command")
    parser.add_argument("command", nargs="*")
    asked = parser.parse_args()
    if refused := machine.missing():
        print(f"no machine: {refused}", file=sys.stderr)
        return 125
    wanted = machine.Wanted(
        user=asked.user,
        systemd=asked.systemd or asked.user == "delegated",
        memory=asked.memory,
        cpus=asked.cpus,
        seconds=asked.timeout,
        sysctls=tuple(asked.sysctl),
        without=tuple(asked.without),
        parameters=asked.parameters,
    )
    ended = machine.run(asked.script or shlex.join(asked.command), wanted, _say, Path.cwd())
    if asked.console or ended.status in (machine.TIMED_OUT, 125):
        print(ended.console[-8_000:], file=sys.stderr)
    return ended.status


def _say(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    raise SystemExit(main())
