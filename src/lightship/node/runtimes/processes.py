"""The processes of this machine: who started whom, and what each uses. From /proc, or from `ps` where there is none.

`watchdog` calls it where the kernel does no counting for us. Blocks; a scan costs some microseconds per process.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


_LEAST, _MOST, _PER_CPU = 2_048, 32_768, 256


def for_a_pod(cpus: int) -> int:
    """Processes and threads that one pod may have: plenty for honest work, and an end to a fork bomb."""
    return min(_MOST, max(_LEAST, _PER_CPU * cpus))


class Process(NamedTuple):
    parent: int
    session: int
    cpu: int
    """Nanoseconds, with those of children that have ended."""
    rss: int
    threads: int
    minor_faults: int = 0
    major_faults: int = 0


def scan() -> dict[int, Process]:
    """All that we may see, by process id."""
    if not os.path.isdir("/proc/self"):
        return _scan_with_ps()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    text = file.read()
            except OSError:
                continue
            found[int(name)] = _parse(text.rpartition(b")")[2].split())
    return found


def _parse(words: list[bytes]) -> Process:
    """The words of a stat line, from the state on."""
    return Process(
        parent=int(words[1]),
        session=int(words[3]),
        cpu=sum(map(int, words[11:15])) * _TICK,
        rss=int(words[21]) * _PAGE,
        threads=int(words[17]),
        minor_faults=int(words[7]),
        major_faults=int(words[9]),
    )


def _scan_with_ps() -> dict[int, Process]:
    """`rss` is told in kilobytes, time as [[days-]hours:]minutes:seconds."""
    text = subprocess.run(["/bin/ps", "-axo", "pid=,ppid=,sess=,rss=,time="], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in text.splitlines():
        pid, parent, _session, rss, time = line.split()[:5]
        found[int(pid)] = Process(int(parent), int(pid), int(_seconds(time) * 1e9), int(rss) * 1024, 1)
    return found


def _seconds(text: str) -> float:
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)


def families(table: dict[int, Process], roots: Iterable[int]) -> dict[int, set[int]]:
    """Each root with its descendants and all of its session, whoever their parent is by now."""
    children: dict[int, list[int]] = {}
    sessions: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
        sessions.setdefault(process.session, []).append(pid)
    found: dict[int, set[int]] = {}
    for root in roots:
        family: set[int] = set()
        waiting = [root, *sessions.get(root, ())]
        while waiting:
            pid = waiting.pop()
            if pid in table and pid not in family:
                family.add(pid)
                waiting += children.get(pid, ())
        found[root] = family
    return found


def resident(pids: Iterable[int], table: dict[int, Process]) -> int:
    """Bytes of memory together, as the sum over the processes: what they share counts for each of them."""
    return sum(table[pid].rss for pid in pids if pid in table)


def proportional(pids: Iterable[int], table: dict[int, Process]) -> int:
    """Bytes of memory together, shared pages counted once in all: exact, and dear."""
    return sum(_proportional(pid, table) for pid in pids)


def _proportional(pid: int, table: dict[int, Process]) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended, or may not be looked into
    return table[pid].rss if pid in table and os.path.exists(f"/proc/{pid}") else 0


def set_oom_score(pid: int, score: int) -> None:
    """How readily the kernel takes a process when memory runs out; what we may not set stays as it is."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))
