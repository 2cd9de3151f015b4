"""Bad days of a data directory: corrupt, read-only, full, half-written, somebody else's. One clear line each time, and nothing lost."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from .kit import CONFIG_MAPS, IMAGE, PODS, Api, Home, Site, config_map, eventually, names

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def template() -> Iterator[Site]:
    """A platform that ran, holds one object, and has ended."""
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        site = Home(Path(directory)).up("--no-node")
        site.api.create(CONFIG_MAPS, config_map("kept"))
        site.down()
        yield site


@pytest.fixture
def stopped(home: Home, template: Site) -> Site:
    """A copy of it, to be damaged."""
    data = home.path / "default"
    shutil.copytree(template.data, data)
    return Site(home, {**template.told, "dataDir": str(data), "kubeconfig": str(data / "kubeconfig")})


@pytest.mark.parametrize("damage", ["not a database", "torn pages", "short"])
def test_a_corrupt_database_is_one_line_and_left_alone(home: Home, stopped: Site, damage: str) -> None:
    database = stopped.data / "state.db"
    whole = database.read_bytes()
    damaged = {
        "not a database": b"no database at all\n" * 500,
        "torn pages": whole[:4096] + os.urandom(len(whole) - 4096),
        "short": b"junk",
    }
    broken = damaged[damage]
    database.write_bytes(broken)
    said = home.refused("up")
    assert str(database) in said
    assert database.read_bytes() == broken, "it was touched"
    assert home.status()["pid"] is None
    database.write_bytes(whole)
    assert "kept" in names(home.up().api.get(CONFIG_MAPS)), "put back, it serves again"


def test_a_truncated_database_is_not_served_as_if_whole(home: Home, stopped: Site) -> None:
    database = stopped.data / "state.db"
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    assert str(database) in home.refused("up")
    assert database.read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize("content", ["", "{", "null", "-5", "99999999"])
def test_half_written_files_are_written_again(home: Home, stopped: Site, content: str) -> None:
    for file in ("instance.json", "port", "lightship.lock", "lightship.log", "kubeconfig"):
        (stopped.data / file).write_text(content)
    assert home.status()["pid"] is None
    again = home.up()
    assert home.status() == again.told
    assert "kept" in names(again.api.get(CONFIG_MAPS))


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nMIIB"], ids=["empty", "half"])
@pytest.mark.parametrize("file", ["ca.crt", "ca.key", "server.crt", "server.key", "sa.key", "issued.json"])
def test_half_written_keys_are_made_again_or_named(home: Home, stopped: Site, file: str, content: str) -> None:
    path = stopped.data / "pki" / file
    assert path.exists()
    path.write_text(content)
    done = home.call("up", "-o", "json", "--no-node", code=None)
    if done.code:
        assert str(stopped.data / "pki") in done.err
        assert "move that folder away" in done.err
        shutil.move(stopped.data / "pki", stopped.data / "pki.old")
        home.up("--no-node")
    assert "kept" in names(Api.of(stopped.kubeconfig).get(CONFIG_MAPS))
    home.call("down")


@pytest.mark.parametrize("content", [b"", b"short", b"\x00\x01", b"with a space in the middle of it all"])
def test_a_half_written_token_opens_no_door(home: Home, stopped: Site, content: bytes) -> None:
    (stopped.data / "pki" / "admin.token").write_bytes(content)
    site = home.up("--no-node")
    assert "kept" in names(site.api.get(CONFIG_MAPS)), "the kubeconfig has the new token"
    # Nobody in particular may not, and who offers what is no token is nobody at all.
    guesses = {"": 403, **({content.decode(): 401} if content.isalnum() else {})}
    assert {guess: Api.of(site.kubeconfig, token=guess).call("GET", CONFIG_MAPS).code for guess in guesses} == guesses


@pytest.mark.parametrize("file", ["pki", "kubeconfig", "state.db", "instance.json", "lightship.log", "lightship.lock"])
def test_a_directory_where_a_file_should_be_and_the_other_way_round(home: Home, stopped: Site, file: str) -> None:
    path = stopped.data / file
    aside = path.with_name("aside")
    if path.exists():
        path.rename(aside)
    if file == "pki":
        path.write_text("")
    else:
        path.mkdir()
    assert str(path) in home.refused("up", "--no-node")
    path.unlink() if file == "pki" else path.rmdir()
    if aside.exists():
        aside.rename(path)
    assert "kept" in names(home.up("--no-node").api.get(CONFIG_MAPS))


def test_lost_keys_are_made_again_and_the_objects_stay(home: Home, stopped: Site) -> None:
    shutil.rmtree(stopped.data / "pki")
    again = home.up()
    assert "kept" in names(again.api.get(CONFIG_MAPS))
    again.api.run("p", "true")
    again.api.phase("p", "Succeeded")


def test_a_data_directory_that_is_a_file(home: Home) -> None:
    (home.path / "file").write_text("")
    for where in (home.path / "file", home.path / "file" / "below"):
        assert str(where) in home.refused("up", "--data-dir", str(where))


@pytest.fixture
def user(home: Home) -> Iterator["User"]:
    """An unprivileged user of this machine, made for the test where root can make one."""
    if os.geteuid() != 0 or not shutil.which("useradd"):
        pytest.skip("needs root and useradd")
    name = f"ls-test-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
    found = User(name)
    try:
        yield found
    finally:
        if (found.home / ".lightship").exists():
            found.lightship("down")
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


class User:
    """Runs commands as an unprivileged user."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entry = pwd.getpwnam(name)
        self.home = Path(self.entry.pw_dir)

        self.python = next((python for python in (sys.executable, "/usr/bin/python3") if self._runs_us(python)), "")
        if not self.python:
            pytest.skip("no interpreter here that other users can run has what we need")

    def lightship(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.python, "-m", "lightship", *words)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        packages = Path(msgspec.__file__).parent.parent
        path = f"{ROOT / 'src'}{os.pathsep}{packages}"
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        ids: dict[str, Any] = {"user": self.entry.pw_uid, "group": self.entry.pw_gid, "extra_groups": []}
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", timeout=60, check=False, **ids)

    def _runs_us(self, python: str) -> bool:
        try:
            return self._run(python, "-c", "import lightship.main.platform").returncode == 0
        except OSError:
            return False


def test_an_unprivileged_user_needs_nothing(user: User) -> None:
    up = user.lightship("up")
    assert up.returncode == 0, up.stderr
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": IMAGE, "command": ["id", "-u"]}]}
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "me"}, "spec": spec})
    (user.home / "pod.yaml").write_text(pod)
    assert user.lightship("apply", "-f", str(user.home / "pod.yaml")).stdout == "pod/me created\n"
    eventually(
        lambda: "Completed" in user.lightship("get", "pods").stdout, "the pod ends", lambda: user.lightship("describe", "pod", "me").stdout
    )
    assert user.lightship("logs", "me").stdout.strip().isdigit()
    assert (user.home / ".lightship").stat().st_uid == user.entry.pw_uid
    assert user.lightship("down").returncode == 0


def test_somebody_elses_data_directory(home: Home, stopped: Site, user: User) -> None:
    home.path.chmod(0o755)
    ended = user.lightship("up", "--data-dir", str(stopped.data))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 2
    assert "Permission denied" in ended.stderr
    assert str(stopped.data) in ended.stderr
    ended = user.lightship("status", "--data-dir", str(stopped.data))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    ended = user.lightship("up", "--data-dir", str(stopped.data / "below"))
    assert "cannot be made: Permission denied" in ended.stderr


@pytest.fixture
def small_disk(home: Home) -> Iterator[Path]:
    """A disk of 4 MB."""
    where = home.path / "disk"
    where.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(where)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        yield where
    finally:
        home.call("down", "--data-dir", str(where / "data"), code=None)
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@needs_root
def test_a_disk_that_fills_up_loses_nothing(home: Home, small_disk: Path) -> None:
    site = home.up("--data-dir", str(small_disk / "data"))
    acknowledged = []
    filler = "x" * 100_000
    for number in range(100):
        answer = site.api.call("POST", CONFIG_MAPS, config_map(f"c{number}", filler=filler))
        if answer.code != 201:
            break
        acknowledged.append(f"c{number}")
    assert answer.code >= 500, answer
    assert answer.body["kind"] == "Status"
    assert "space" in answer.body["message"].lower() or "full" in answer.body["message"].lower(), answer.body["message"]
    assert len(acknowledged) > 3
    assert set(acknowledged) <= set(names(site.api.get(CONFIG_MAPS))), "reads go on"
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    eventually(lambda: site.api.call("POST", CONFIG_MAPS, config_map("after")).code in (201, 409), "writes go on when there is space again")
    assert {*acknowledged, "after"} <= set(names(site.api.get(CONFIG_MAPS)))
    site.kill()
    again = home.up("--data-dir", str(small_disk / "data"))
    assert {*acknowledged, "after"} <= set(names(again.api.get(CONFIG_MAPS)))


@needs_root
def test_up_on_a_full_disk_is_one_line(home: Home, small_disk: Path) -> None:
    site = home.up("--data-dir", str(small_disk / "data"))
    site.api.create(CONFIG_MAPS, config_map("kept"))
    site.down()
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    done = home.call("up", "-o", "json", "--data-dir", str(small_disk / "data"), code=None)
    if done.code:
        assert "Traceback" not in done.err
        assert len(done.err.splitlines()) <= 2
        assert "No space left" in done.err or "full" in done.err
    home.call("down", "--data-dir", str(small_disk / "data"))
    ballast.unlink()
    assert "kept" in names(home.up("--data-dir", str(small_disk / "data")).api.get(CONFIG_MAPS))


@needs_root
def test_a_read_only_disk_is_one_line(home: Home, small_disk: Path) -> None:
    site = home.up("--data-dir", str(small_disk / "data"))
    site.api.run("p", "true")
    site.api.phase("p", "Succeeded")
    site.down()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = home.refused("up", "--data-dir", str(small_disk / "data"))
    assert "Read-only file system" in said
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert names(home.up("--data-dir", str(small_disk / "data")).api.get(PODS)) == ["p"]
