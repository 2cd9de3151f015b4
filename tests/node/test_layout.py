"""What a sandboxed container gets to see, decided on paper."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lightship.node.runtimes import idmap, layout
from lightship.node.runtimes.runtime import ContainerSpec, Mount, SandboxSpec, Security

HOST = layout.Host(directories=("/usr", "/etc", "/opt"), links={"/bin": "usr/bin"})
WHERE = layout.Places(Path("/pods/1/sandbox"))


def make(**extra: Any) -> ContainerSpec:
    return ContainerSpec(**{"id": "c", "sandbox_id": "s", "name": "main", "argv": ["/bin/true"], "env": {}, "log_path": "/l", **extra})


def targets(spec: ContainerSpec) -> list[str]:
    return [mount["target"] for mount in layout.plan(spec, WHERE, HOST)["mounts"]]


def test_parents_come_before_children_and_volumes_over_our_own() -> None:
    mounts = [Mount(source="/v/1", target="/data/a/b"), Mount(source="/v/2", target="/tmp/"), Mount(source="/v/3", target="/data")]
    found = layout.plan(make(mounts=mounts), WHERE, HOST)["mounts"]
    depth = [m["target"].count("/") for m in found]
    assert depth == sorted(depth)
    assert [m["source"] for m in found if m["target"] == "/tmp"] == ["/v/2"]


@pytest.mark.parametrize(
    ("home", "want"),
    [
        ("", False),
        ("/home/me", True),
        ("/", False),
        (layout.WORK, False),
        ("/usr/local/me", False),
        ("/volume", False),
        ("relative", False),
    ],
)
def test_home_is_on_disk_where_it_is_ours_to_give(home: str, *, want: bool) -> None:
    spec = make(env={"HOME": home} if home else {}, mounts=[Mount(source="/v", target="/volume")])
    assert (len(layout.private(spec)) > 3) == want


def test_environments_are_shown_once_and_only_if_not_there_already(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "lib").mkdir(parents=True)
    link.symlink_to(real)
    spec = make(read_only_paths=["/usr/lib/python3", str(link), str(real / "lib")])
    shown = [m for m in layout.plan(spec, WHERE, HOST)["mounts"] if m["read_only"]]
    assert [m["target"] for m in shown] == [str(link), str(real)]


@pytest.mark.parametrize("mount", [Mount(target="data"), Mount(target="/"), Mount(target="//x/.."), Mount(source="rel", target="/data")])
def test_impossible_mounts_are_refused(mount: Mount) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        layout.plan(make(mounts=[mount]), WHERE, HOST)


@pytest.mark.parametrize(
    ("uid", "gid", "ids", "want"),
    [
        (None, None, 1, False),
        (0, 0, 1, False),
        (1000, None, 1, True),
        (None, 5, 1, True),
        (1000, 1000, 65_536, False),
        (70_000, 0, 65_536, True),
    ],
)
def test_identities_that_are_not_mapped_need_a_namespace_of_their_own(uid: int | None, gid: int | None, ids: int, *, want: bool) -> None:
    request = layout.container(make(security=Security(uid=uid, gid=gid)), WHERE, HOST, name="pod", ids=ids)
    assert request["nested"] == want


def test_the_environment_only_gains_what_is_missing() -> None:
    assert layout.environment(make(env={"HOME": "/h", "X": "1"}), "pod") == {
        "PATH": layout.DEFAULT_PATH,
        "HOSTNAME": "pod",
        "HOME": "/h",
        "X": "1",
    }


def test_host_names_fit_the_kernel() -> None:
    spec = SandboxSpec(id="s", name="a" * 62 + "-b", namespace="n", directory="/d")
    assert layout.hostname(spec) == "a" * 62


def test_only_system_directories_are_looked_for(tmp_path: Path) -> None:
    for name in ("usr", "etc", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    assert layout.look_around(str(tmp_path)) == layout.Host(("/usr", "/etc"), {"/bin": "usr/bin"})


def test_trees_that_a_pod_has_closed_are_deleted(tmp_path: Path) -> None:
    closed = tmp_path / "tree" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").write_text("x")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o500)
    (tmp_path / "tree" / "link").symlink_to(elsewhere)
    os.chmod(closed, 0)
    layout.remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert elsewhere.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("         0          0 4294967295\n", 65_536),
        ("         0       1000          1\n", 1),
        ("         0       1000          1\n         1     100000      65536\n", 1),
        ("      1000          0          1\n", 0),
        ("", 0),
    ],
)
def test_how_many_ids_can_be_given_away(text: str, want: int) -> None:
    assert idmap.extent(text) == want


def test_two_may_remove_one_tree(tmp_path: Path) -> None:
    """A pod that dies while the runtime is being closed is cleaned up after from both sides."""
    top = tmp_path / "sandbox"
    for branch in range(40):
        (top / f"{branch}" / "work" / "deep").mkdir(parents=True)
        (top / f"{branch}" / "file").write_text("x")
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(layout.remove_tree, top) for _ in range(4)]:
            done.result()
    assert not top.exists()
    layout.remove_tree(top)
