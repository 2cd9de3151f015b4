"""Who has to go when the machine runs short of something: the pure core of eviction, and the measuring of disks."""

import os
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.machine import disk, hostusage, pressure
from lightship.node.machine.pressure import Candidate, Met, Part, Signal, Threshold, Watch

MIB = 2**20
PLENTY = {"memory.available": Signal(4096 * MIB, 8192 * MIB), "nodefs.available": Signal(50, 100), "imagefs.available": Signal(50, 100)}


def candidate(uid: str, used: int, requested: int = 0, priority: int = 0, **extra: Any) -> Candidate:
    return Candidate(uid, priority, False, {"memory": used}, {"memory": requested}, **extra)


class TestThresholds:
    def test_nothing_is_the_matter_while_there_is_plenty(self) -> None:
        assert Watch().judge(PLENTY, 0) == (frozenset(), [])

    @pytest.mark.parametrize(
        ("signal", "left", "want", "condition"),
        [
            ("memory.available", Signal(100 * MIB - 1, 8192 * MIB), Met("memory", 100 * MIB, 100 * MIB - 1), "MemoryPressure"),
            ("nodefs.available", Signal(9, 100), Met("ephemeral-storage", 10, 9), "DiskPressure"),
            ("imagefs.available", Signal(14, 100), Met("ephemeral-storage", 15, 14), "DiskPressure"),
            ("nodefs.inodesFree", Signal(49, 1000), Met("inodes", 50, 49), "DiskPressure"),
        ],
    )
    def test_less_than_the_default_is_too_little(self, signal: str, left: Signal, want: Met, condition: str) -> None:
        assert Watch().judge(PLENTY | {signal: left}, 0) == (frozenset([condition]), [want._replace(signal=signal)])

    def test_just_enough_is_enough(self) -> None:
        assert not Watch().judge({"memory.available": Signal(100 * MIB, 8192 * MIB)}, 0).met

    def test_memory_comes_first(self) -> None:
        watch = Watch()
        verdict = watch.judge({"nodefs.available": Signal(1, 100), "memory.available": Signal(1, 8192 * MIB)}, 0)
        assert [met.resource for met in verdict.met] == ["memory", "ephemeral-storage"]

    def test_a_condition_outlives_its_cause_by_five_minutes(self) -> None:
        watch = Watch()
        watch.judge({"memory.available": Signal(0, 1)}, 1000.0)
        assert [watch.judge(PLENTY, now).conditions for now in (1010.0, 1299.0, 1300.0)] == [{"MemoryPressure"}, {"MemoryPressure"}, set()]
        assert not watch.judge(PLENTY, 1010.0).met

    def test_thresholds_are_written_as_for_a_kubelet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert pressure.parse("memory.available<1Gi, pid.available<5%") == (
            Threshold("memory.available", "1Gi"),
            Threshold("pid.available", "5%"),
        )
        for bad in ("memory.available", "disk<1Gi", "memory.available<much"):
            with pytest.raises(ValueError):
                pressure.parse(bad)
        assert pressure.thresholds() == pressure.DEFAULTS
        monkeypatch.setenv(pressure.VARIABLE, "none")
        assert pressure.thresholds() == ()

    def test_this_machine_tells_its_signals(self, tmp_path: Path) -> None:
        found = hostusage.signals(tmp_path, tmp_path / "not" / "there")
        assert {"memory.available", "nodefs.available", "imagefs.available"} <= found.keys()
        assert all(0 < signal.available <= signal.capacity for signal in found.values())


class TestRanking:
    def test_who_uses_more_than_it_asked_for_goes_before_all_others(self) -> None:
        modest, greedy = candidate("modest", 900, 1000, priority=-5), candidate("greedy", 200, 100, priority=1000)
        assert [c.uid for c in pressure.ranked("memory", [modest, greedy])] == ["greedy", "modest"]

    def test_then_priority_then_how_much_more(self) -> None:
        pods = [candidate("little", 110, 100), candidate("important", 900, 100, priority=7), candidate("much", 400, 100)]
        assert [c.uid for c in pressure.ranked("memory", pods)] == ["much", "little", "important"]

    def test_what_is_not_known_goes_first_and_the_critical_never(self) -> None:
        unknown = Candidate("unknown", 0, False, {}, {})
        critical = Candidate("critical", 2_000_000_000, True, {"memory": 10**9}, {})
        assert [c.uid for c in pressure.ranked("memory", [candidate("known", 0), unknown, critical])] == ["unknown", "known"]

    def test_processes_are_counted_by_number(self) -> None:
        pods = [Candidate(uid, 0, False, {"pids": n}, {}) for uid, n in (("few", 3), ("many", 300))]
        assert [c.uid for c in pressure.ranked("pids", pods)] == ["many", "few"]

    def test_the_message_names_containers_that_had_more_than_they_asked_for(self) -> None:
        parts = [Part("a", {"memory": 3 * MIB}, {"memory": MIB}), Part("b", {"memory": MIB}, {"memory": MIB}), Part("c", {"memory": 5}, {})]
        text = pressure.message(Met("memory", 100 * MIB, 64 * MIB + 1024), candidate("p", 5 * MIB, parts=parts))
        assert text == (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 65537Ki. "
            "Container a was using 3Mi, request is 1Mi, has larger consumption of memory. "
            "Container c was using 5, request is 0, has larger consumption of memory. "
        )


@pytest.mark.parametrize(
    ("conditions", "given", "want"),
    [
        (set(), {"best_effort": True}, ""),
        ({"MemoryPressure"}, {"best_effort": True}, "The node had condition: [MemoryPressure]. "),
        ({"MemoryPressure"}, {"best_effort": False}, ""),
        ({"MemoryPressure"}, {"best_effort": True, "tolerates_memory": True}, ""),
        ({"DiskPressure"}, {"best_effort": False}, "The node had condition: [DiskPressure]. "),
        ({"DiskPressure"}, {"best_effort": False, "critical": True}, ""),
        ({"MemoryPressure", "DiskPressure"}, {"best_effort": False}, "The node had condition: [DiskPressure MemoryPressure]. "),
    ],
)
def test_a_node_under_pressure_takes_few_pods(conditions: set[str], given: dict[str, bool], want: str) -> None:
    assert pressure.refusal(conditions, **{"tolerates_memory": False, "critical": False, **given}) == want


POD: Obj = {
    "spec": {
        "containers": [
            {"name": "a", "resources": {"limits": {"ephemeral-storage": "1Mi"}}},
            {"name": "b", "resources": {"limits": {"ephemeral-storage": "2Mi"}}},
        ],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "512Ki"}}, {"name": "w", "emptyDir": {}}, {"name": "x", "configMap": {}}],
    }
}


class TestDisk:
    def test_limits_are_found_where_they_are(self) -> None:
        found = disk.quotas(POD)
        assert found == ({"v": "512Ki"}, "3Mi", {"a": "1Mi", "b": "2Mi"})
        assert not disk.quotas({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "w", "emptyDir": {}}]}})

    @pytest.mark.parametrize(
        ("used", "want"),
        [
            ({"logs/a": 300_000, "rootfs/a": 300_000, "volume/v": 500_000}, ""),
            ({"volume/v": 600_000}, 'Usage of EmptyDir volume "v" exceeds the limit "512Ki". '),
            ({"volume/w": 4 * MIB}, "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. "),
            ({"logs/a": 600_000, "rootfs/a": 600_000}, 'Container a exceeded its local ephemeral storage limit "1Mi". '),
        ],
    )
    def test_more_than_that_is_too_much(self, used: dict[str, int], want: str) -> None:
        assert disk.excess(disk.quotas(POD), used) == want

    def test_files_count_by_what_they_take_and_once(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "full").write_bytes(b"x" * MIB)
        os.link(tmp_path / "deep" / "full", tmp_path / "again")
        (tmp_path / "link").symlink_to("/usr")
        with open(tmp_path / "sparse", "wb") as file:
            file.truncate(64 * MIB)
        assert MIB <= disk.size(tmp_path) < MIB + 65536
        assert disk.measure({"none": tmp_path / "none"}) == {"none": 0}

    def test_a_million_files_do_not_keep_us_busy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in range(20):
            (tmp_path / f"d{name}" / "e").mkdir(parents=True)
        monkeypatch.setattr(disk, "BUDGET", 5)
        assert 0 < disk.size(tmp_path) < 41 * 4096
