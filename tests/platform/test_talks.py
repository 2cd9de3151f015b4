"""Conversations with pods as the official Python client has them, and the audit log that tells of it all: on a running platform."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream

from lightship.testing import cluster

from .kit import Home, eventually

pytestmark = pytest.mark.slow
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {
        "containers": [
            {"name": "main", "image": "python", "command": ["python", "-m", "http.server", "8000"], "ports": [{"containerPort": 8000}]},
            {"name": "other", "image": "busybox", "command": ["sleep", "1000"]},
        ]
    },
}


@pytest.fixture(scope="module", params=["sandbox", "process"])
def core(request: pytest.FixtureRequest) -> Iterator[Any]:
    with cluster(runtime=request.param) as running:
        api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(running.kubeconfig))
        api.create_namespaced_pod("default", POD)
        for event in kubernetes.watch.Watch().stream(api.list_namespaced_pod, "default", timeout_seconds=30):
            if event["object"].status.phase == "Running":
                break
        yield api


def run(core: Any, *command: str, container: str = "main", **flags: Any) -> Any:
    wanted = {"stderr": True, "stdin": False, "stdout": True, "tty": False, **flags}
    return stream(core.connect_get_namespaced_pod_exec, "web", "default", command=list(command), container=container, **wanted)


def test_a_command_says_what_it_has_to_say(core: Any) -> None:
    talk = run(core, "sh", "-c", "echo out; echo err >&2; exit 7", _preload_content=False)
    talk.run_forever(timeout=10)
    assert talk.read_stdout() == "out\n"
    assert talk.read_stderr() == "err\n"
    assert talk.returncode == 7


def test_a_command_hears_what_is_said_to_it(core: Any) -> None:
    talk = run(core, "sh", stdin=True, _preload_content=False)
    talk.write_stdin("echo $((6 * 7))\n")
    assert talk.readline_stdout(timeout=10) == "42"
    talk.write_stdin("exit 3\n")
    talk.run_forever(timeout=10)
    assert talk.returncode == 3


def test_a_terminal_is_one(core: Any) -> None:
    talk = run(core, "sh", "-c", "test -t 0 && test -t 1 && echo yes", stdin=True, tty=True, stderr=False, _preload_content=False)
    talk.run_forever(timeout=10)
    assert talk.read_stdout().strip() == "yes"


def test_a_terminal_has_a_name_inside_the_pod(core: Any) -> None:
    assert run(core, "tty", stdin=True, tty=True, stderr=False).startswith("/dev/pts/")


def attach(core: Any, name: str, **flags: Any) -> Any:
    wanted = {"stderr": True, "stdin": True, "stdout": True, "tty": False, "_preload_content": False, **flags}
    return stream(core.connect_get_namespaced_pod_attach, name, "default", **wanted)


def test_who_attaches_shares_the_container_with_others_and_its_log(core: Any) -> None:
    container = {"name": "main", "image": "busybox", "stdin": True, "command": ["sh", "-c", "while read x; do echo got $x; done"]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    core.create_namespaced_pod("default", {"metadata": {"name": "reader"}, "spec": spec})
    eventually(lambda: core.read_namespaced_pod("reader", "default").status.phase == "Running", "Running")
    first, second = attach(core, "reader"), attach(core, "reader")
    first.write_stdin("one\n")
    assert [talk.readline_stdout(timeout=10) for talk in (first, second)] == ["got one"] * 2
    first.close()
    second.write_stdin("two\n")
    assert second.readline_stdout(timeout=10) == "got two"
    second.close()
    assert core.read_namespaced_pod_log("reader", "default") == "got one\ngot two\n"
    assert core.read_namespaced_pod("reader", "default").status.phase == "Running"
    core.delete_namespaced_pod("reader", "default")


def test_the_first_to_leave_ends_an_input_that_is_for_once(core: Any) -> None:
    container = {"name": "main", "image": "busybox", "stdin": True, "stdinOnce": True, "command": ["sh", "-c", "cat; echo closed"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    core.create_namespaced_pod("default", {"metadata": {"name": "once"}, "spec": spec})
    eventually(lambda: core.read_namespaced_pod("once", "default").status.phase == "Running", "Running")
    talk = attach(core, "once")
    talk.write_stdin("said\n")
    assert talk.readline_stdout(timeout=10) == "said"
    talk.close()
    eventually(lambda: core.read_namespaced_pod("once", "default").status.phase == "Succeeded", "Succeeded")
    assert core.read_namespaced_pod_log("once", "default") == "said\nclosed\n"


def test_much_comes_whole(core: Any) -> None:
    talk = run(core, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x", _preload_content=False)
    talk.run_forever(timeout=30)
    assert len(talk.read_stdout()) == 3_000_000


@pytest.mark.parametrize(
    ("container", "command", "message"),
    [("nope", ["true"], "container nope is not valid for pod web"), ("", ["true"], "a container name must be specified for pod web")],
)
def test_what_cannot_be_meant_is_refused(core: Any, container: str, command: list[str], message: str) -> None:
    with pytest.raises(ApiException) as found:
        run(core, *command, container=container)
    assert found.value.status == 0
    assert "400" in str(found.value.reason)
    assert message in str(found.value.reason)


def test_a_program_that_is_not_there(core: Any) -> None:
    talk = run(core, "/no/such/program", _preload_content=False)
    talk.run_forever(timeout=10)
    status = json.loads(talk.read_channel(3))
    assert status["status"] == "Failure"
    assert "/no/such/program" in status["message"]


def test_ports_are_carried(core: Any) -> None:
    pf = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="8000")
    sock = pf.socket(8000)
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    text = b""
    while piece := sock.recv(65536):
        text += piece
    assert text.startswith(b"HTTP/1.0 200 OK")
    assert pf.error(8000) is None
    for end in (sock, pf.local_ports[8000].python):  # the client itself leaves both to the garbage collector
        end.close()


def test_pods_answer_behind_proxy(core: Any) -> None:
    assert "Directory listing" in core.connect_get_namespaced_pod_proxy_with_path("web:8000", "default", "")
    with pytest.raises(ApiException) as found:
        core.connect_get_namespaced_pod_proxy_with_path("web:8000", "default", "nope")
    assert found.value.status == 404


def test_what_is_asked_is_written_down(home: Home, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    rule = {"level": "Request", "resources": [{"group": "", "resources": ["configmaps"]}], "omitStages": ["RequestReceived"]}
    policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule]}))
    site = home.up("--no-node", "--audit-policy-file", str(policy), "--audit-log-path", str(tmp_path / "audit.log"))
    made = site.api.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "noted"}, "data": {"a": "b"}})
    assert made.code == 201

    def noted() -> Any:
        lines = (tmp_path / "audit.log").read_text().splitlines()
        return next((event for event in map(json.loads, lines) if event.get("objectRef", {}).get("name") == "noted"), None)

    eventually(lambda: noted() is not None, "the request is written down")
    event = noted()
    assert event["verb"] == "create"
    assert event["requestObject"]["data"] == {"a": "b"}
    assert "responseObject" not in event
    assert home.call("down").code == 0
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: Policy")
    told = home.refused("up", "--audit-policy-file", str(bad))
    assert "an audit policy must be an object of apiVersion audit.k8s.io/v1" in told
