"""kubectl's conversations with pods: run and attach, exec, logs, cp, port-forward, debug, nodes' own pages; on the running platform."""

import json
import os
import pty
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .kit import IMAGE, PODS, Done, Site, eventually, names

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")]
Kubectl = Callable[..., Done]


@pytest.fixture
def environment(site: Site, tmp_path: Path) -> Iterator[dict[str, str]]:
    yield {**os.environ, "KUBECONFIG": str(site.kubeconfig), "HOME": str(tmp_path)}
    for name in names(site.api.get(PODS)):
        site.api.call("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")


@pytest.fixture
def kubectl(environment: dict[str, str]) -> Kubectl:
    def call(*words: str, stdin: str = "", code: int = 0) -> Done:
        ended = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert ended.returncode == code, ended
        return Done(ended.returncode, ended.stdout, ended.stderr)

    return call


def started(kubectl: Kubectl, name: str, *scripts: str) -> None:
    """A pod with a container for each script: `c0`, `c1` and so on."""
    containers = [{"name": f"c{n}", "image": IMAGE, "command": ["sh", "-c", script]} for n, script in enumerate(scripts)]
    spec = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 0, "containers": containers}
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", f"pod/{name}", "--timeout=30s")


def run(name: str, *flags: str, script: str) -> list[str]:
    return ["run", name, f"--image={IMAGE}", *flags, "--", "sh", "-c", script]


def test_run_and_attach_with_input(kubectl: Kubectl) -> None:
    script = "echo -n read: && cat && echo 'stdin closed'"
    kubectl(*run("once", "--restart=OnFailure", "--attach=true", "--stdin", script=script), stdin="value\nabcd1234")
    assert kubectl("logs", "once").out == "read:value\nabcd1234stdin closed\n"


def test_run_leaves_an_open_input_open(kubectl: Kubectl) -> None:
    flags = ("--restart=OnFailure", "--attach=true", "--leave-stdin-open=true", "--stdin")
    kubectl(*run("open", *flags, script="cat && echo 'stdin closed'"), stdin="abcd1234\n")
    eventually(lambda: kubectl("logs", "open").out == "abcd1234\n", "the line in the log")
    assert kubectl("get", "pod", "open", "-o", "jsonpath={.status.phase}").out == "Running"


def test_run_and_remove_has_the_code_of_the_program(kubectl: Kubectl) -> None:
    flags = ("--rm=true", "--restart=Never", "--attach=true", "--stdin")
    done = kubectl(*run("gone", *flags, script="cat && echo 'stdin closed'; exit 3"), stdin="abcd1234", code=3)
    assert "abcd1234stdin closed" in done.out
    assert kubectl("get", "pods", "-o", "name").out == ""


def test_a_terminal_from_end_to_end(kubectl: Kubectl, environment: dict[str, str]) -> None:
    started(kubectl, "shell", "sleep 1000")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["kubectl", "exec", "-it", "shell", "--", "sh"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as ended:
        os.close(theirs)
        os.write(ours, b"tty; echo $((6 * 7)); exit 5\n")
        said = b""
        with suppress(OSError):  # the terminal ends with EIO
            while data := os.read(ours, 4096):
                said += data
        assert ended.wait(30) == 5
    os.close(ours)
    assert b"/dev/pts/" in said
    assert b"42\r\n" in said


def test_exec_and_its_refusals(kubectl: Kubectl) -> None:
    started(kubectl, "two", "sleep 1000", "sleep 1000")
    assert kubectl("exec", "two", "-c", "c1", "--", "sh", "-c", "echo out; exit 42", code=42).out == "out\n"
    assert "executable file not found in $PATH" in kubectl("exec", "two", "-c", "c0", "--", "nothing", code=1).err
    assert "container nope is not valid for pod two" in kubectl("exec", "two", "-c", "nope", "--", "true", code=1).err
    assert kubectl("exec", "-i", "two", "-c", "c0", "--", "cat", stdin="x" * 300_000).out == "x" * 300_000


def test_logs_of_all_kinds(kubectl: Kubectl) -> None:
    started(kubectl, "talker", "echo one; echo two >&2; printf three; sleep 1000", "echo other; exit 1")
    eventually(lambda: "three" in kubectl("logs", "talker", "-c", "c0").out, "what was said")
    assert kubectl("logs", "talker", "-c", "c0").out == "one\ntwo\nthree"
    assert kubectl("logs", "talker", "-c", "c0", "--tail=1", "--limit-bytes=3").out == "thr"
    assert re.fullmatch(r"\S+Z two\n\S+Z three", kubectl("logs", "talker", "-c", "c0", "--tail=2", "--timestamps").out)
    assert kubectl("logs", "talker", "-c", "c0", "--since=1h").out == "one\ntwo\nthree"
    assert kubectl("logs", "talker", "-c", "c0", "--since-time=2999-01-01T00:00:00Z").out == ""
    assert "[pod/talker/c1] other" in kubectl("logs", "talker", "--all-containers", "--prefix").out
    eventually(lambda: kubectl("get", "pod", "talker", "-o", "jsonpath={.status.containerStatuses[1].restartCount}").out > "0", "a restart")
    assert kubectl("logs", "talker", "-c", "c1", "--previous").out == "other\n"
    assert 'previous terminated container "c0" in pod "talker" not found' in kubectl("logs", "talker", "-c", "c0", "-p", code=1).err


@pytest.mark.skipif(shutil.which("tar") is None, reason="kubectl cp needs tar, here and in the pod")
def test_files_are_copied_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    started(kubectl, "box", "sleep 1000")
    (tmp_path / "there").write_bytes(os.urandom(500_000))
    kubectl("cp", str(tmp_path / "there"), "box:/tmp/there")
    kubectl("cp", "box:/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


@contextmanager
def forwarded(environment: dict[str, str], *words: str) -> Iterator[int]:
    """The local port of a port-forward that is up."""
    with subprocess.Popen(["kubectl", "port-forward", *words], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found is not None
        try:
            yield int(found[1])
        finally:
            process.terminate()


SERVE = """python -u -c '
import socket
s = socket.create_server(("127.0.0.1", 8000))
while True:
    c, _ = s.accept()
    data = b""
    while piece := c.recv(65536):
        data += piece
    c.sendall(b"%d " % len(data) + data[:4]); c.close()
'"""


def test_ports_of_a_pods_own_loopback_are_forwarded(kubectl: Kubectl, environment: dict[str, str]) -> None:
    if "process" in kubectl("get", "nodes", "-o", r"jsonpath={.items[0].metadata.annotations.lightship\.dev/runtime}").out:
        pytest.skip("pods have no loopback of their own in host mode")
    started(kubectl, "server", SERVE)
    listens = ("exec", "server", "--", "sh", "-c", "grep -c :1F40 /proc/net/tcp || true")
    eventually(lambda: kubectl(*listens).out.strip() != "0", "a listener")
    with forwarded(environment, "pod/server", ":8000") as port:
        connections = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(8)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%04d" % number + b"x" * (100_000 * number))
            connection.shutdown(socket.SHUT_WR)
        for number, connection in enumerate(connections):
            with connection, connection.makefile("rb") as answer:
                assert answer.read() == b"%d %04d" % (4 + 100_000 * number, number)


def test_a_node_answers_as_a_kubelet(kubectl: Kubectl) -> None:
    started(kubectl, "talker", "echo one; sleep 1000")
    node = kubectl("get", "nodes", "-o", "name").out.strip().removeprefix("node/")
    path = f"/api/v1/nodes/{node}/proxy"
    assert kubectl("get", "--raw", f"{path}/healthz").out == "ok"
    assert [pod["metadata"]["name"] for pod in kubectl("get", "--raw", f"{path}/pods").json()["items"]] == ["talker"]
    assert kubectl("get", "--raw", f"{path}/stats/summary").json()["node"]["nodeName"] == node
    assert kubectl("get", "--raw", f"{path}/configz").json()["kubeletconfig"]["containerLogMaxFiles"] == 5
    assert kubectl("get", "--raw", f"{path}/containerLogs/default/talker/c0").out == "one\n"
    assert "kubelet_running_pods 1" in kubectl("get", "--raw", f"{path}/metrics").out
    refused = kubectl("get", "--raw", f"{path}/healthz", "--as=nobody", code=1).err
    assert 'cannot get resource "nodes/proxy"' in refused
