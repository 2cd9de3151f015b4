"""Whose files are: what security contexts ask for, and what becomes of files, links and modes."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.inputs import ownership, volumes
from lightship.node.inputs.claims import Claims
from lightship.node.inputs.ownership import Owner
from lightship.node.inputs.volumes import Policy

from .make import container, pod


def user(uid: int | None) -> Obj:
    return {"securityContext": {"runAsUser": uid}} if uid is not None else {}


@pytest.mark.parametrize(
    ("common", "uids", "want"),
    [
        ({}, [None], Owner()),
        ({"fsGroup": 5}, [None], Owner(None, 5)),
        ({"runAsUser": 7}, [None, None], Owner(7, None)),
        ({"runAsUser": 7}, [8, None], Owner(None, None)),
        ({}, [8, None], Owner(None, None)),
        ({}, [8, 8], Owner(8, None)),
        ({"runAsUser": 0, "fsGroup": 0}, [None], Owner(0, 0)),
    ],
)
def test_owners(common: Obj, uids: list[int | None], want: Owner) -> None:
    obj = pod(*(container(f"c{i}", **user(uid)) for i, uid in enumerate(uids)), securityContext=common)
    assert ownership.of(obj) == want


def test_files_are_given_only_to_ids_that_there_are() -> None:
    obj = pod(securityContext={"fsGroup": 70_000, "runAsUser": 5})
    assert volumes.owner(obj, Policy(ids=65_536)) == Owner(5, None)
    assert volumes.owner(obj, Policy(ids=1)) == Owner()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "dir").mkdir(parents=True)
    (top / "dir/file").write_text("x")
    (tmp_path / "outside").write_text("o")
    (top / "link").symlink_to("../outside")
    (top / "linked").symlink_to("..")
    for path, wanted in ((top, 0o755), (top / "dir", 0o700), (top / "dir/file", 0o600), (tmp_path / "outside", 0o600)):
        path.chmod(wanted)
    return top


def test_a_group_gets_everything_and_nothing_behind_links(tree: Path) -> None:
    gid = os.getgid()
    assert ownership.mismatch(tree, gid)
    ownership.apply(tree, gid)
    assert (mode(tree), mode(tree / "dir"), mode(tree / "dir/file")) == (0o2775, 0o2770, 0o660)
    assert mode(tree.parent / "outside") == 0o600
    assert not ownership.mismatch(tree, gid)


def test_read_only_volumes_get_no_right_to_write(tree: Path) -> None:
    ownership.apply(tree, os.getgid(), read_only=True)
    assert (mode(tree), mode(tree / "dir"), mode(tree / "dir/file")) == (0o2755, 0o2750, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_links_are_given_and_what_they_name_is_not(tree: Path) -> None:
    ownership.apply(tree, 4321)
    assert {p.lstat().st_gid for p in (tree, *tree.rglob("*"))} == {4321}
    assert (tree.parent / "outside").stat().st_gid == 0


def claim(policy: str | None, **more: Any) -> Obj:
    security = {"fsGroup": os.getgid(), **({"fsGroupChangePolicy": policy} if policy else {})}
    return pod(securityContext=security, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c", **more}}])


@pytest.mark.parametrize(
    ("obj", "want"),
    [(claim(None), 0o660), (claim("Always"), 0o660), (claim("OnRootMismatch"), 0o600), (claim(None, readOnly=True), 0o600)],
)
def test_change_policy(tree: Path, obj: Obj, want: int) -> None:
    tree.chmod(0o2775)
    volumes.give_claims(obj, volumes.owner(obj, Policy()), Claims({"c": tree}))
    assert mode(tree / "dir/file") == want
