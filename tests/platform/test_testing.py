"""`lightship.testing`: a whole platform inside a test; what it gives, what it leaves behind (nothing), and how long it takes to start."""

import asyncio
import gc
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import kubernetes
import pytest

from lightship import kinds
from lightship.aio.clock import SystemClock
from lightship.node.runtimes.probe import probe
from lightship.testing import Cluster, cluster

from .kit import CONFIG_MAPS, PODS, Api, config_map, descendants, eventually, names

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


def official(found: Cluster) -> kubernetes.client.ApiClient:
    """The official client, of this cluster only: no global configuration is touched."""
    return kubernetes.config.new_client_from_config(found.kubeconfig)


def test_the_official_client_sees_a_cluster(lightship_cluster: Cluster) -> None:
    with official(lightship_cluster) as api:
        core = kubernetes.client.CoreV1Api(api)
        assert core.list_node().items[0].status.conditions[-1].type == "Ready"
        made = core.create_namespaced_config_map("default", config_map("a", color="blue"))
        assert made.metadata.uid
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.create_namespaced_config_map("default", config_map("a"))
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        core.patch_namespaced_config_map("a", "default", {"data": {"color": "red"}})
        assert core.read_namespaced_config_map("a", "default").data == {"color": "red"}
        assert kubernetes.client.VersionApi(api).get_code().git_version.startswith("v1.")


def test_the_official_client_watches(lightship_cluster: Cluster) -> None:
    with official(lightship_cluster) as api:
        core = kubernetes.client.CoreV1Api(api)
        watch = kubernetes.watch.Watch()
        core.create_namespaced_config_map("default", config_map("w"))
        seen = []
        for event in watch.stream(core.list_namespaced_config_map, "default", field_selector="metadata.name=w", timeout_seconds=20):
            seen.append(event["type"])
            if event["type"] == "ADDED":
                core.delete_namespaced_config_map("w", "default")
            if event["type"] == "DELETED":
                watch.stop()
        assert seen == ["ADDED", "DELETED"]


def test_several_nodes_on_one_machine() -> None:
    with cluster(agents=3) as running:
        api = Api.of(Path(running.kubeconfig))
        nodes = names(api.get("/api/v1/nodes"))
        assert len(nodes) == 3
        for number, node in enumerate(sorted(nodes)):
            api.run(f"on-{number}", f"echo {node}", nodeName=node)
        for number, node in enumerate(sorted(nodes)):
            api.phase(f"on-{number}", "Succeeded")
            assert api.log(f"on-{number}") == node + "\n"


@pytest.mark.parametrize("runtime", ["sandbox", "process"])
def test_pods_run_in_both_runtimes(runtime: str) -> None:
    if runtime == "sandbox" and not (found := probe()).sandbox:
        pytest.skip(found.reason)
    with cluster(runtime=runtime) as running:
        api = Api.of(Path(running.kubeconfig))
        api.run("hello", "echo hello")
        api.phase("hello", "Succeeded")
        assert api.log("hello") == "hello\n"
        assert api.get("/api/v1/nodes")["items"][0]["metadata"]["annotations"]["lightship.dev/runtime"] == runtime


def test_without_a_node_pods_wait_and_nothing_is_forked() -> None:
    before = {process.pid for process in descendants(os.getpid())}
    with cluster(node=False) as running:
        assert {process.pid for process in descendants(os.getpid())} <= before
        api = Api.of(Path(running.kubeconfig))
        assert api.get("/api/v1/nodes")["items"] == []
        api.run("waits", "true")
        found = api.until(f"{PODS}/waits", lambda pod: pod["status"].get("conditions"), "was looked at")
        assert found["status"]["phase"] == "Pending"


def test_several_at_once_share_nothing() -> None:
    with cluster() as one, cluster() as two, cluster(node=False) as three:
        assert len({one.api, two.api, three.api}) == 3
        assert len({one.data_dir, two.data_dir, three.data_dir}) == 3
        first, second = Api.of(Path(one.kubeconfig)), Api.of(Path(two.kubeconfig))
        first.create(CONFIG_MAPS, config_map("only-in-one"))
        for api, word in ((first, "one"), (second, "two")):
            api.run("same-name", f"echo {word}")
        for api, word in ((first, "one"), (second, "two")):
            api.phase("same-name", "Succeeded")
            assert api.log("same-name") == f"{word}\n"
        assert "only-in-one" not in names(second.get(CONFIG_MAPS))


def test_async_work_beside_it(lightship_cluster: Cluster) -> None:
    assert lightship_cluster.run(lightship_cluster.client.get(kinds.NAMESPACES, "default"))["kind"] == "Namespace"

    async def late() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        lightship_cluster.run(late(), timeout=0.05)


def test_objects_on_disk_when_asked() -> None:
    with cluster(node=False) as memory, cluster(node=False, durable=True) as disk:
        assert not (Path(memory.data_dir) / "state.db").exists()
        assert (Path(disk.data_dir) / "state.db").stat().st_size > 0


@pytest.mark.parametrize("failing", [False, True], ids=["test passes", "test fails"])
def test_everything_is_gone_afterwards(failing: bool) -> None:
    threads = set(threading.enumerate())
    children = set(descendants(os.getpid()))
    descriptors = _descriptors()
    directory = ""
    try:
        with cluster() as running:
            directory = running.data_dir
            api = Api.of(Path(running.kubeconfig))
            api.run("long", "sleep 1000", terminationGracePeriodSeconds=30)
            api.phase("long", "Running")
            if failing:
                raise KeyError("a failing test")
    except KeyError:
        assert failing
    assert not os.path.exists(directory), list(Path(directory).rglob("*"))
    eventually(lambda: set(threading.enumerate()) <= threads, "threads end", lambda: str(threading.enumerate()), seconds=5)
    eventually(lambda: set(descendants(os.getpid())) <= children, "processes end", seconds=5)
    gc.collect()
    left = _descriptors()
    assert len(left) <= len(descriptors) + 1, sorted(set(left.values()) - set(descriptors.values()))


def _descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass  # the one that lists the folder
    return found


def test_a_platform_that_cannot_start_raises_its_reason() -> None:
    with pytest.raises(ValueError, match="nonsense"), cluster(runtime="nonsense"):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "lightship"]


def test_it_warns_of_nothing(tmp_path: Path) -> None:
    """As a user's strict test suite runs it: development mode, every warning an error, unclosed things told."""
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(lightship_cluster):\n    assert lightship_cluster.api.startswith('https://127.0.0.1:')\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed" in ended.stdout
    assert "warning" not in (ended.stdout + ended.stderr).lower()


def test_the_plugin_costs_other_test_suites_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import sys\ndef test_theirs():\n    assert not {'lightship.testing', 'lightship.main.platform', 'uvloop'} & set(sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stdout


def test_how_long_it_takes(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Reported, not asserted: the time belongs to the machine."""
    for node in (False, True):
        took = sorted(_start_times(6, node=node))
        text = f"lightship.testing, node={node}: median {statistics.median(took) * 1000:.0f} ms, fastest {took[0] * 1000:.0f} ms"
        record_property(f"start, node={node}", text)
        with capsys.disabled():
            print(f"\n{text}", end="")


def _start_times(rounds: int, *, node: bool) -> Iterator[float]:
    clock = SystemClock()
    for _ in range(rounds):
        begun = clock.monotonic()
        with cluster(node=node):
            yield clock.monotonic() - begun
