"""`lightship up`, `down` and `status` as scripts use them: fields, exit statuses, two platforms, ports, what a restart keeps."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock

from .kit import CONFIG_MAPS, PODS, Api, Home, config_map, eventually, exists, names

pytestmark = pytest.mark.slow
FIELDS = ["name", "ready", "api", "kubeconfig", "pid", "dataDir", "notes"]


def test_from_nothing_to_ready_and_back(home: Home) -> None:
    assert home.status() == {
        "name": "default",
        "ready": False,
        "api": None,
        "kubeconfig": str(home.path / "default" / "kubeconfig"),
        "pid": None,
        "dataDir": str(home.path / "default"),
        "notes": [],
    }
    assert not (home.path / "default").exists(), "asking made something"
    site = home.up()
    assert list(site.told) == FIELDS
    assert site.told["ready"] is True
    assert site.told["name"] == "default"
    assert exists(site.pid)
    status = home.call("status", "-o", "json")
    assert status.json() == site.told
    assert status.err == ""
    assert site.api.get("/api/v1/nodes")["items"][0]["status"]["conditions"][-1]["status"] == "True"
    down = home.call("down")
    assert down.out == f'stopped "default"; its data is kept in {site.data}\n'
    assert not exists(site.pid)
    assert home.call("status", code=1).out.startswith('"default" is not running\n')
    assert home.call("down").out == '"default" is not running\n', "a second down is no error"


def test_what_people_see(home: Home) -> None:
    site = home.up()
    told = home.call("status").out
    assert '"default" is ready' in told
    assert site.url in told
    assert str(site.kubeconfig) in told
    assert home.call("status", "-o", "yaml").out.splitlines()[:2] == ["name: default", "ready: true"]


def test_nothing_is_said_into_the_void(home: Home) -> None:
    """The background process holds none of its parent's streams: `$(lightship up)` returns, and so does a pipe."""
    command = f"{sys.executable} -m lightship up -o json | cat; echo done"
    env = {**os.environ, "LIGHTSHIP_HOME": str(home.path)}
    try:
        ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env, timeout=30, check=True)
    finally:
        home.call("down")
    assert ended.stdout.endswith("done\n")
    assert ended.stderr == ""


def test_a_second_up_on_the_same_data_is_one_line(home: Home) -> None:
    site = home.up()
    said = home.refused("up")
    assert f'"default" is running already (process {site.pid}, {site.url})' in said
    said = home.refused("up", "--name", "other", "--data-dir", str(site.data))
    assert f"process {site.pid}" in said
    said = home.refused("up", "--foreground")
    assert f"is in use by process {site.pid}" in said
    assert home.status() == site.told, "the first one is untouched"


def test_two_ups_at_once_make_one_platform(home: Home) -> None:
    env = {**os.environ, "LIGHTSHIP_HOME": str(home.path)}
    command = [sys.executable, "-m", "lightship", "up", "-o", "json"]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) for _ in range(3)]
    outcomes = []
    for process in racing:
        out, err = process.communicate(timeout=60)
        outcomes.append((process.returncode, out, err))
    try:
        winners = [json.loads(out) for code, out, _ in outcomes if code == 0]
        assert len(winners) == 1, outcomes
        for code, _, err in outcomes:
            assert code == 0 or (code == 1 and err.startswith("lightship: ") and len(err.splitlines()) == 2), outcomes
        assert home.status() == winners[0]
    finally:
        home.call("down")


def test_two_platforms_side_by_side(home: Home) -> None:
    one, two = home.up("--name", "one"), home.up("--name", "two")
    three = home.up("--data-dir", str(home.path / "elsewhere" / "deep"))
    assert len({one.url, two.url, three.url}) == 3
    assert three.told["dataDir"] == str(home.path / "elsewhere" / "deep")
    one.api.create(CONFIG_MAPS, config_map("mine"))
    one.api.run("pod", "echo $POD from one; hostname")
    two.api.run("pod", "echo from two; hostname")
    for site, word in ((one, "from one"), (two, "from two")):
        site.api.phase("pod", "Succeeded")
        assert word in site.api.log("pod")
    assert "mine" not in names(two.api.get(CONFIG_MAPS))
    assert Api.of(two.kubeconfig, yaml_token(one.kubeconfig)).call("GET", CONFIG_MAPS).code == 401, "a token is good for its own platform"
    one.down()
    assert two.api.get(f"{PODS}/pod")["status"]["phase"] == "Succeeded", "the other goes on"


def yaml_token(kubeconfig: Path) -> str:
    line = next(line for line in kubeconfig.read_text().splitlines() if "token:" in line)
    return line.split("token:")[1].strip().strip('"')


def test_what_a_restart_keeps(home: Home) -> None:
    first = home.up()
    first.api.create(CONFIG_MAPS, config_map("kept", color="blue"))
    before = first.api.get(f"{CONFIG_MAPS}/kept")
    kubeconfig = first.kubeconfig.read_bytes()
    first.down()
    second = home.up()
    assert second.url == first.url, "the port"
    assert second.pid != first.pid
    assert second.kubeconfig.read_bytes() == kubeconfig, "the kubeconfig, with its CA and token"
    assert second.api.get(f"{CONFIG_MAPS}/kept") == before, "the object, uid and resourceVersion included"
    assert len(second.api.get("/api/v1/nodes")["items"]) == 1


def test_ports(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 cannot be had" in home.refused("up", "--port", str(port))
        assert home.status()["pid"] is None
    site = home.up("--port", str(port))
    assert site.url == f"https://127.0.0.1:{port}"
    site.down()
    with socket.create_server(("127.0.0.1", port)):
        other = home.up()
        assert other.url != site.url, "last time's port is taken: any other"
        assert other.api.get("/api/v1/nodes")["items"]


@pytest.mark.parametrize("port", ["-1", "65536", "99999", "http", ""])
def test_numbers_that_are_no_ports(home: Home, port: str) -> None:
    home.refused("up", "--port", port, code=2)
    assert home.status()["pid"] is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may take any port")
def test_a_port_that_only_root_may_take(home: Home) -> None:
    assert "Permission denied" in home.refused("up", "--port", "80")


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", ".."])
def test_names_that_are_none(home: Home, name: str) -> None:
    for command in ("up", "down", "status"):
        home.refused(command, "--name", name, code=2)


def test_up_without_a_node_leaves_pods_pending(home: Home) -> None:
    site = home.up("--no-node")
    site.api.run("waits", "true")
    found = site.api.until(f"{PODS}/waits", lambda pod: pod["status"].get("conditions"), "has been looked at")
    assert found["status"]["phase"] == "Pending"
    assert found["status"]["conditions"][0]["reason"] == "Unschedulable"
    assert site.api.get("/api/v1/nodes")["items"] == []


def test_foreground_ends_with_a_signal_and_leaves_nothing(home: Home) -> None:
    env = {**os.environ, "LIGHTSHIP_HOME": str(home.path)}
    command = [sys.executable, "-m", "lightship", "up", "--foreground", "-o", "json"]
    for ending in ("terminate", "interrupt"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
        eventually(lambda: home.status()["ready"], "ready in the foreground")
        assert home.status()["pid"] == process.pid
        if ending == "terminate":
            process.terminate()
        else:
            process.send_signal(2)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert json.loads(out)["pid"] == process.pid
        assert "Traceback" not in err
        assert not (home.path / "default" / "instance.json").exists()


def test_down_ends_running_pods_and_the_next_up_goes_on(home: Home) -> None:
    site = home.up()
    site.api.run("long", "sleep 1000", restartPolicy="Always", terminationGracePeriodSeconds=0)
    site.api.phase("long", "Running")
    clock = SystemClock()
    begun = clock.monotonic()
    site.down()
    assert clock.monotonic() - begun < 20
    again = home.up()
    found = again.api.until(f"{PODS}/long", lambda pod: (pod["status"].get("containerStatuses") or [{}])[0].get("ready"), "runs again")
    assert found["metadata"]["uid"]


def _files(data: Path) -> Iterator[Path]:
    """All but what is in the directories of pods, which come and go."""
    for directory, below, files in os.walk(data):
        yield from (Path(directory) / name for name in (*below, *files))
        if directory == str(data):
            below.remove("pods")


@pytest.mark.parametrize("mode", [None, 0o755], ids=["new directory", "directory that others may read"])
def test_files_are_their_owners_alone(home: Home, mode: int | None) -> None:
    data = home.path / "data"
    if mode is not None:
        data.mkdir(mode)
    before = os.umask(0)  # secrets do not depend on the user's umask
    try:
        site = home.up("--data-dir", str(data))
    finally:
        os.umask(before)
    site.api.create("/api/v1/namespaces/default/secrets", {**config_map("s"), "kind": "Secret", "data": {"k": "dg=="}})
    site.api.run("p", "true")
    site.api.phase("p", "Succeeded")
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in _files(data)}
    loose = {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077 and path.suffix != ".crt" and not path.is_symlink()}
    assert loose == {}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (site.kubeconfig, data / "pki" / "admin.token")} == {0o600}
    assert stat.S_IMODE((data / "pods").stat().st_mode) == 0o700
    if mode is None:
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
