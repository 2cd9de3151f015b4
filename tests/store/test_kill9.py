"""kill -9 at any instant: a child commits from many writers and prints what was acknowledged; we kill it, reopen, and compare.

Real time and a real process, because that is what is tested. Each round goes on with the data that the last one left behind.
"""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lightship import store
from lightship.meta import codec
from lightship.store import Store

ROUNDS = 10
CHILD = """
import asyncio, itertools, sys
from lightship import store
from lightship.store import Delete, Put

def value(text):
    return lambda revision: b'{"revision":%d,"text":"%b"}' % (revision, text.encode() * 50)

async def writer(s, name):
    for i in itertools.count():
        pair = [f"core/pods/default/{name}-{side}" for side in "ab"]
        # Both halves in one commit: they are always there together, or not at all.
        if i % 7 == 6:
            records = await s.commit(*(Delete(key, value("gone")) for key in pair))
        else:
            records = await s.commit(*(Put(key, value(f"{name}-{i}")) for key in pair))
        sys.stdout.write(f"{records[0].revision} {records[1].revision} {name} {i % 7 == 6}\\n")
        sys.stdout.flush()

async def main():
    s = store.sqlite(sys.argv[1], limits=store.Limits(seconds=0.05, events=300))
    print("ready", flush=True)
    async with asyncio.TaskGroup() as writers:
        for i in range(12):
            writers.create_task(writer(s, f"{sys.argv[2]}-{i}"))

asyncio.run(main())
"""


def kill_while_writing(path: Path, name: str, lines_first: int) -> list[list[str]]:
    """What a child had acknowledged when it was killed, some time after its first `lines_first` acknowledgements."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), name], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    first = "".join(child.stdout.readline() for _ in range(lines_first))
    child.kill()
    rest, _ = child.communicate()
    lines = first + rest
    whole = lines[: lines.rfind("\n") + 1]  # the last line may be cut off, and is then not counted as said
    return [line.split() for line in whole.splitlines()]


def check(s: Store, acknowledged: list[list[str]]) -> None:
    records = {record.key: record for record in s.list("core/pods/").records}
    last: dict[str, tuple[int, bool]] = {}
    writes = Counter(name for _, _, name, _ in acknowledged)
    for first, second, name, gone in acknowledged:
        assert int(second) == int(first) + 1
        last[name] = (int(first), gone == "True")
    for name, (revision, deleted) in last.items():
        assert revision < s.revision
        found = records.get(f"core/pods/default/{name}-a")
        # At least what was acknowledged: one more write of each may have become durable without anybody hearing of it.
        if found is None:
            assert deleted or writes[name] % 7 == 6
        else:
            assert found.revision > revision if deleted else found.revision >= revision
    for key, record in records.items():
        twin = records[key[:-1] + ("b" if key.endswith("a") else "a")]  # never one without the other
        assert abs(twin.revision - record.revision) == 1
        assert codec.decode(record.value)["revision"] == record.revision


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    seed = random.Random(20)
    said = 0
    for round in range(ROUNDS):
        acknowledged = kill_while_writing(path, f"r{round}", seed.randint(1, 400))
        said += len(acknowledged)
        s = store.sqlite(path)  # which checks that no revision is missing and every checksum holds
        check(s, acknowledged)
        asyncio.run(s.close())
    assert said > ROUNDS * 100
