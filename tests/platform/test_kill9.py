"""kill -9 of the platform: nothing that was acknowledged is lost, nothing of the old platform lives on, and work goes on after `up`."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .kit import CLAIMS, CONFIG_MAPS, IMAGE, JOBS, PODS, Home, Obj, Site, config_map, descendants, eventually, marked, names

pytestmark = pytest.mark.slow
INDEX = "batch.kubernetes.io/job-completion-index"


class Writer:
    """Creates ConfigMaps over HTTP until nobody answers any more; remembers what was acknowledged."""

    def __init__(self, site: Site, prefix: str) -> None:
        self._api = site.api
        self._prefix = prefix
        self.acknowledged: dict[str, str] = {}
        self.enough = threading.Event()
        """Set once a few writes are through."""

    def run(self) -> None:
        for number in range(100_000):
            name = f"{self._prefix}-{number}"
            try:
                answer = self._api.call("POST", CONFIG_MAPS, config_map(name, n=str(number)))
            except OSError:
                return
            assert answer.code == 201, answer
            self.acknowledged[name] = answer.body["metadata"]["resourceVersion"]
            if number > 20:
                self.enough.set()


def test_everything_acknowledged_is_there(home: Home) -> None:
    acknowledged: dict[str, str] = {}
    highest = 0
    for life in range(3):
        site = home.up()
        writers = [Writer(site, f"life{life}-{number}") for number in range(3)]
        with ThreadPoolExecutor(len(writers)) as threads:
            running = [threads.submit(writer.run) for writer in writers]
            for writer in writers:
                assert writer.enough.wait(30)
            site.kill()
            for future in running:
                future.result()
        for writer in writers:
            acknowledged |= writer.acknowledged
        survivor = home.up()
        found = {item["metadata"]["name"]: item for item in survivor.api.get(CONFIG_MAPS)["items"]}
        assert acknowledged.items() <= {name: item["metadata"]["resourceVersion"] for name, item in found.items()}.items()
        assert all(item["data"] == {"n": name.rpartition("-")[2]} for name, item in found.items() if name.startswith("life")), (
            "half a write"
        )
        assert max(map(int, acknowledged.values())) > highest, "revisions run backwards"
        highest = max(map(int, acknowledged.values()))
        survivor.down()
    assert len(acknowledged) > 150


def test_status_and_down_after_kill(home: Home) -> None:
    site = home.up()
    site.kill()
    assert (site.data / "instance.json").exists(), "the announcement is left over; nobody may believe it"
    assert home.status() == {**site.told, "ready": False, "api": None, "pid": None}
    assert home.call("down").out == '"default" is not running\n'
    again = home.up()
    assert again.url == site.url
    assert again.api.get("/api/v1/nodes")["items"]


def test_kills_while_it_starts(home: Home) -> None:
    """At every file that the first start makes: killed as soon as it is there, the next start finds its way."""
    data = home.path / "default"
    env = {**os.environ, "LIGHTSHIP_HOME": str(home.path)}
    for mark in ("lightship.lock", "pki", "pki/ca.crt", "pki/server.key", "pki/admin.token", "state.db", "port", "kubeconfig", "pods"):
        with subprocess.Popen([sys.executable, "-m", "lightship", "up", "--foreground"], stdout=subprocess.DEVNULL, env=env) as starting:
            eventually((data / mark).exists, f"{mark} is made", seconds=20)
            starting.kill()
        site = home.up()
        assert site.api.get("/api/v1/nodes")["items"], mark
        site.down()
        shutil.rmtree(data)


@pytest.mark.parametrize("runtime", ["auto", "process"])
def test_no_process_of_a_killed_platform_is_left(home: Home, runtime: str) -> None:
    site = home.up("--runtime", runtime)
    sandboxed = _container_runtime(site) == "sandbox"
    mark = f"1000.{site.pid}"
    # The second pod tries to get away: deaf to everything that can be ignored and, where pods are sandboxed, in a session of its own.
    escapes = (f"sleep {mark}", f"trap '' TERM HUP INT; {'setsid' if sandboxed else ''} sleep {mark} & sleep {mark}")
    for number, script in enumerate(escapes):
        site.api.run(f"p{number}", script)
        site.api.phase(f"p{number}", "Running")
    eventually(lambda: len([p for p in marked(f"sleep\0{mark}") if p.pid != site.pid]) >= 3, "all pods sleep")
    before = {*descendants(site.pid), *marked(mark)}
    site.kill()
    if sandboxed:
        assert len(marked(f"sleep\0{mark}")) >= 3, "pods go on without the platform for a while"
        assert home.call("down").out == '"default" is not running; the pods that it left behind have ended\n'
    eventually(lambda: not [process for process in before if process.lives()], "all processes of the platform are gone", seconds=15)
    assert not marked(mark)


def _container_runtime(site: Site) -> str:
    node = site.api.get("/api/v1/nodes")["items"][0]
    return "sandbox" if "sandbox" in str(node["metadata"].get("annotations", "")) + str(node["metadata"].get("labels", "")) else "process"


def _pod(name: str, script: str, policy: str) -> Obj:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "restartPolicy": policy, "terminationGracePeriodSeconds": 1},
    }


def test_pods_after_a_kill_follow_their_restart_policy(home: Home) -> None:
    site = home.up()
    for policy in ("Always", "OnFailure", "Never"):
        site.api.create(PODS, _pod(policy.lower(), "sleep 1000", policy))
    site.api.create(PODS, _pod("done", "exit 0", "OnFailure"))
    for name in ("always", "onfailure", "never"):
        site.api.phase(name, "Running")
    done = site.api.phase("done", "Succeeded")
    site.kill()
    home.call("down")  # else they would go on
    again = home.up()
    for name in ("always", "onfailure"):
        found = again.api.until(f"{PODS}/{name}", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1, "was restarted")
        again.api.until(f"{PODS}/{name}", lambda pod: pod["status"]["phase"] == "Running" and _ready(pod), "runs again")
        assert found["status"]["containerStatuses"][0].get("lastState", {}).get("terminated"), "says that the first run ended"
    never = again.api.phase("never", "Failed")
    assert never["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] != 0
    assert again.api.get(f"{PODS}/done")["status"] == done["status"], "what was over stays as it was"


def test_pods_outlive_a_killed_platform(home: Home) -> None:
    site = home.up()
    if _container_runtime(site) != "sandbox":
        pytest.skip("in host mode pods end with the platform")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    site.api.create(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "gate"}, "spec": claim})
    wait = "until test -e /gate/open; do echo waits; sleep 0.05; done; echo goes on; exit 3"
    for name, script in (("waits", wait), ("counts", "i=0; while true; do echo $i; i=$((i+1)); sleep 0.01; done")):
        pod = _pod(name, script, "Never")
        pod["spec"]["volumes"] = [{"name": "gate", "persistentVolumeClaim": {"claimName": "gate"}}]
        pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "gate", "mountPath": "/gate"}]
        site.api.create(PODS, pod)
        site.api.phase(name, "Running")
    before = {name: site.api.get(f"{PODS}/{name}")["status"] for name in ("waits", "counts")}
    volume = site.api.get(f"{CLAIMS}/gate")["spec"]["volumeName"]
    gate = Path(site.api.get(f"/api/v1/persistentvolumes/{volume}")["spec"]["hostPath"]["path"])
    site.kill()
    (gate / "open").touch()  # one of them ends while nobody looks
    again = home.up()
    ended = again.api.phase("waits", "Failed")["status"]["containerStatuses"][0]
    assert (ended["state"]["terminated"]["exitCode"], ended["restartCount"]) == (3, 0)
    assert again.api.log("waits").endswith("goes on\n")
    counts = again.api.get(f"{PODS}/counts")["status"]
    same = ("containerID", "restartCount", "state", "ready")
    assert [counts["containerStatuses"][0][key] for key in same] == [before["counts"]["containerStatuses"][0][key] for key in same]
    assert counts["podIP"] == before["counts"]["podIP"]
    lines = again.api.log("counts").split()
    assert lines == [str(number) for number in range(len(lines))], "nothing of what it said is lost"
    again.api.call("DELETE", f"{PODS}/counts")
    eventually(lambda: again.api.call("GET", f"{PODS}/counts").code == 404, "the new platform ends it")


def test_fewer_nodes_than_before(home: Home) -> None:
    site = home.up("--agents", "3")
    names = sorted(node["metadata"]["name"] for node in site.api.get("/api/v1/nodes")["items"])
    assert len(names) == 3
    for number, name in enumerate(names):
        site.api.run(f"p{number}", "sleep 1000", nodeName=name)
        site.api.phase(f"p{number}", "Running")
    site.kill()
    again = home.up()
    assert [node["metadata"]["name"] for node in again.api.get("/api/v1/nodes")["items"]] == names[:1]
    gone = [f"{PODS}/p{number}" for number in (1, 2)]
    eventually(lambda: all(again.api.call("GET", path).code == 404 for path in gone), "pods of nodes that are gone are too", seconds=60)
    assert again.api.get(f"{PODS}/p0")["status"]["phase"] == "Running"


def _ready(pod: dict[str, dict[str, list[dict[str, object]]]]) -> bool:
    return bool(pod["status"]["containerStatuses"][0]["ready"])


def test_jobs_go_on_and_complete_exactly(home: Home) -> None:
    """Six indexes, two at a time, killed while some run: every index succeeds once, and none twice."""
    site = home.up()
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    site.api.create(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "gate"}, "spec": claim})
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["sh", "-c", "test $JOB_COMPLETION_INDEX -lt 2 && exit 0; until test -e /gate/open; do sleep 0.05; done"],
        "volumeMounts": [{"name": "gate", "mountPath": "/gate"}],
    }
    template: Obj = {"spec": {"restartPolicy": "OnFailure", "containers": [container], "terminationGracePeriodSeconds": 1}}
    template["spec"]["volumes"] = [{"name": "gate", "persistentVolumeClaim": {"claimName": "gate"}}]
    spec = {"completions": 6, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 6, "template": template}
    site.api.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "six"}, "spec": spec})
    site.api.until(f"{JOBS}/six", lambda job: job["status"].get("succeeded") == 2 and job["status"].get("active") == 2, "two done, two run")
    site.kill()
    again = home.up()
    volume = again.api.get(f"{CLAIMS}/gate")["spec"]["volumeName"]
    source = again.api.get(f"/api/v1/persistentvolumes/{volume}")["spec"]["hostPath"]["path"]
    (Path(source) / "open").touch()
    job = again.api.until(f"{JOBS}/six", lambda job: job["status"].get("completionTime"), "completes")
    assert job["status"]["succeeded"] == 6
    assert job["status"]["completedIndexes"] == "0-5"
    assert not job["status"].get("active")
    pods = again.api.get(PODS + "?labelSelector=job-name%3Dsix")["items"]
    succeeded = [pod["metadata"]["annotations"][INDEX] for pod in pods if pod["status"]["phase"] == "Succeeded"]
    assert sorted(succeeded) == ["0", "1", "2", "3", "4", "5"]
    assert len(names({"items": pods})) == len(set(names({"items": pods})))
