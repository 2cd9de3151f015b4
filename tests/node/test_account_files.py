"""Account files that are none: pipes, devices, links to them, files without an end. The start of a container neither waits nor grows."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lightship.node.images.unpacked import Users, find_user
from lightship.node.launch import names
from lightship.node.runtimes.runtime import Mount, Security

from . import test_image_root as images
from .contract import World
from .test_oci import Layout, entry, folder, link
from .test_sandbox_volumes import play

_ENDLESS = 1 << 40


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def endless(path: Path) -> None:
    path.touch()
    os.truncate(path, _ENDLESS)


def directory(path: Path) -> None:
    path.mkdir()


KINDS = (pipe, device, endless, directory)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_account_file_is_read_as_none(tmp_path: Path, kind: Callable[[Path], None]) -> None:
    kind(tmp_path / "file")
    assert names.read(str(tmp_path / "file")) == ""
    (tmp_path / "etc").mkdir()
    for file in ("passwd", "group"):
        kind(tmp_path / "etc" / file)
    assert find_user(tmp_path, "7:8") == Users("7:8", "/")


@pytest.mark.slow
def test_a_volume_in_place_of_the_account_files_holds_nobody_up(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    images.needs_namespaces()
    Layout(tmp_path / "layout").image([folder("bin"), folder("etc")], images.programs("sh"), Env=["PATH=/bin"])

    async def story(w: World) -> None:
        made = await images.unpack(tmp_path)
        await w.pod()
        for kind in KINDS:
            place = tmp_path / kind.__name__
            place.mkdir()
            for file in ("passwd", "group"):
                kind(place / file)
            async with asyncio.timeout(60):
                for root in (made.root, ""):
                    shown = [Mount(source=str(place), target="/etc")]
                    env = {"PATH": "/bin:/usr/bin"}
                    end, said = await w.sh("echo $HOME", root=root, mounts=shown, env=env, security=Security(uid=1234, gid=1234))
                    assert (end.code, said) == (0, "/\n" if root else "/workspace\n"), kind

    play(tmp_path / "pods", story)


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [False, True])
def test_an_image_whose_account_files_are_none(tmp_path: Path, read_only: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    images.needs_namespaces()
    long = b"".join(b"u%d:x:%d:%d::/srv:/bin/sh\n" % (n, n, n) for n in range(2000, 40_000))
    for number, accounts in enumerate(([link("etc/passwd", "/dev/zero"), link("etc/group", "/dev/pts/ptmx")], [entry("etc/passwd", long)])):
        place = tmp_path / str(number)
        place.mkdir()
        Layout(place / "layout").image([folder("bin"), folder("etc"), *accounts], images.programs("sh"), Env=["PATH=/bin"])

        async def story(w: World, place: Path = place) -> None:
            made = await images.unpack(place)
            await w.pod()
            async with asyncio.timeout(60):
                security = Security(uid=1234, gid=1234, read_only_root=read_only)
                end, said = await w.sh("echo in $HOME", root=made.root, env={"PATH": "/bin"}, security=security)
            assert (end.code, said) == (0, "in /\n")

        play(place / "pods", story)
