"""Images on disk: what is read of a layout, what is verified, and what a layer of strangers cannot do."""

import argparse
import asyncio
import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.cli.errors import CliError
from lightship.node import cli
from lightship.node.images import keeper, layers, oci, unpacked
from lightship.node.images.catalogue import Catalogue, ImageError
from lightship.node.images.environments import Environment, Environments
from lightship.node.images.installer import BuildError
from lightship.node.images.layers import Unpacked
from lightship.node.images.oci import ImageFileError
from lightship.node.images.store import Store

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o755 if fields.get("type") == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def folder(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, **fields)


def link(name: str, to: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.SYMTYPE, linkname=to, **fields)


def hard(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.LNKTYPE, linkname=to)


Entries = list[tuple[tarfile.TarInfo, bytes]]


def tar(entries: Entries) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Layout:
    """Writes an OCI layout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifests: list[dict[str, Any]] = []
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, content: bytes) -> dict[str, Any]:
        (self.path / "blobs" / "sha256" / digest(content)[7:]).write_bytes(content)
        return {"digest": digest(content), "size": len(content), "mediaType": "x"}

    def json(self, value: Any) -> dict[str, Any]:
        return self.blob(json.dumps(value).encode())

    def image(self, *content: Entries, name: str = "latest", packed: bool = True, **run: Any) -> str:
        tars = [tar(entries) for entries in content]
        config = self.json(
            {
                "architecture": ARCHITECTURE,
                "os": "linux",
                "config": run,
                "rootfs": {"type": "layers", "diff_ids": [digest(t) for t in tars]},
            }
        )
        made = [self.blob(gzip.compress(t) if packed else t) for t in tars]
        manifest = self.json({"config": config, "layers": made})
        if name:
            manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.manifests.append(manifest)
        self.close()
        return str(config["digest"])

    def close(self) -> None:
        (self.path / "index.json").write_text(json.dumps({"manifests": self.manifests}))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def lay_out(layout: Layout, root: Path, *, give_away: bool = False) -> Unpacked:
    with oci.opened(layout.path) as blobs:
        return layers.unpack(blobs, oci.find(blobs), root, give_away=give_away)


def tree(root: Path) -> dict[str, str]:
    """Paths with what they are: content of files, `->` of links, `/` for folders."""
    found = {}
    for path in sorted(root.rglob("*")):
        text = f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
        found[str(path.relative_to(root))] = text
    return found


# what images have -------------------------------------------------------------------------------------------------------------------------


def test_layers_lie_over_each_other(layout: Layout, tmp_path: Path) -> None:
    layout.image(
        [folder("./"), folder("a/"), entry("a/one", b"1"), entry("a/two", b"2"), folder("b"), entry("b/x", b"x"), link("l", "a/one")],
        [entry("a/.wh.one"), entry("a/two", b"two"), folder("b"), entry("b/.wh..wh..opq"), entry("b/y", b"y"), hard("h", "a/two")],
    )
    lay_out(layout, tmp_path / "root")
    assert tree(tmp_path / "root") == {
        "a": "/",
        "a/two": "two",
        "b": "/",
        "b/y": "y",
        "h": "two",
        "l": "-> a/one",
    }
    assert (tmp_path / "root/h").stat().st_ino == (tmp_path / "root/a/two").stat().st_ino


def test_whiteouts_spare_what_their_own_layer_brings(layout: Layout, tmp_path: Path) -> None:
    layout.image(
        [folder("a"), folder("a/b"), entry("a/b/old", b""), entry("c", b"old")],
        [entry("a/b/new", b"new"), entry("c", b"new"), entry("a/.wh..wh..opq"), entry(".wh.c")],
    )
    lay_out(layout, tmp_path / "root")
    assert tree(tmp_path / "root") == {"a": "/", "a/b": "/", "a/b/new": "new", "c": "new"}


def test_kinds_change_between_layers(layout: Layout, tmp_path: Path) -> None:
    layout.image(
        [folder("a"), entry("a/x", b""), entry("b", b""), link("c", "a")],
        [entry("a", b"file"), folder("b"), entry("b/y", b"y"), folder("c"), entry("c/z", b"z")],
    )
    lay_out(layout, tmp_path / "root")
    assert tree(tmp_path / "root") == {"a": "file", "b": "/", "b/y": "y", "c": "/", "c/z": "z"}


def test_links_of_the_image_are_followed_inside_of_it(layout: Layout, tmp_path: Path) -> None:
    layout.image(
        [folder("usr"), folder("usr/bin"), link("bin", "/usr/bin"), entry("bin/sh", b"sh"), link("up", "../../.."), entry("up/x", b"x")]
    )
    lay_out(layout, tmp_path / "root")
    assert tree(tmp_path / "root") == {"bin": "-> /usr/bin", "up": "-> ../../..", "usr": "/", "usr/bin": "/", "usr/bin/sh": "sh", "x": "x"}


def test_modes_times_and_owners(layout: Layout, tmp_path: Path) -> None:
    layout.image(
        [folder("d", mode=0o555, mtime=5), entry("d/f", b"", mode=0o4711, mtime=7, uid=12, gid=34), entry("null", type=tarfile.CHRTYPE)]
    )
    done = lay_out(layout, tmp_path / "root")
    assert (done.files, done.foreign, done.devices) == (3, 1, 1)
    found = (tmp_path / "root/d/f").stat()
    assert (found.st_mode & 0o7777, found.st_mtime, found.st_uid) == (0o4711, 7, os.geteuid())
    assert ((tmp_path / "root/d").stat().st_mode & 0o7777, (tmp_path / "root/d").stat().st_mtime) == (0o755, 5), (
        "we must be able to remove it"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_files_to_their_owners(layout: Layout, tmp_path: Path) -> None:
    layout.image([entry("f", b"", mode=0o4711, uid=12, gid=34), link("l", "/etc/passwd", uid=12, gid=34)])
    assert lay_out(layout, tmp_path / "root", give_away=True).foreign == 0
    found, shown = (tmp_path / "root/f").stat(), (tmp_path / "root/l").lstat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (12, 34, 0o4711)
    assert (shown.st_uid, shown.st_gid) == (12, 34)
    assert Path("/etc/passwd").stat().st_uid == 0


# what images must not do ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evil",
    [
        lambda out: [entry("../evil", b"x")],
        lambda out: [entry("a/../../evil", b"x")],
        lambda out: [hard("a", "../../victim")],
        lambda out: [hard("a", str(out / "victim"))],
        lambda out: [link("l", str(out / "victim")), hard("a", "nothing")],
        lambda out: [link("a", "b"), link("b", "a"), entry("a/x", b"x")],
        lambda out: [entry("a/.wh..", b"")],
        lambda out: [entry("a/.wh..."), entry("a/.wh.", b"")],
        lambda out: [hard("a", ".")],
        lambda out: [folder("d"), hard("a", "d")],
        lambda out: [entry("x" * 300, b"")],
    ],
)
def test_what_is_refused(layout: Layout, tmp_path: Path, evil: Callable[[Path], Entries]) -> None:
    (tmp_path / "victim").write_text("host")
    layout.image(evil(tmp_path))
    with pytest.raises(ImageFileError):
        lay_out(layout, tmp_path / "root")
    assert (tmp_path / "victim").read_text() == "host"
    assert not (tmp_path / "evil").exists()


def test_paths_that_look_like_the_hosts_stay_inside(layout: Layout, tmp_path: Path) -> None:
    victim = tmp_path / "outside" / "victim"
    victim.parent.mkdir(mode=0o700)
    victim.write_text("host")
    layout.image(
        [
            entry(str(victim), b"an absolute path"),
            link("abs", str(victim.parent)),
            link("rel", "../outside"),
            entry("abs/victim", b"through an absolute link"),
            entry("rel/victim", b"through a relative link"),
            link("file", str(victim)),
            entry("file", b"over a link"),
            folder("dir", mode=0o777),
            folder("dir/sub", mode=0o777),
        ],
        [link("dir", str(victim.parent)), entry("abs/.wh.victim"), entry("rel/.wh..wh..opq")],
        [folder("d", mode=0o777), link("d", str(victim.parent)), folder("d/e", mode=0o777), folder("f"), link("f", str(victim.parent))],
    )
    lay_out(layout, tmp_path / "root")
    assert victim.read_text() == "host"
    assert os.listdir(victim.parent) == ["victim"]
    assert victim.parent.stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "root/file").read_text() == "over a link"


def test_sizes_are_bounded(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.image([entry("a", b"x" * 5000), entry("b", b"x" * 5000)])
    monkeypatch.setattr(layers, "MOST_BYTES", 7000)
    with pytest.raises(ImageFileError, match="is larger than"):
        lay_out(layout, tmp_path / "one")
    monkeypatch.undo()
    monkeypatch.setattr(layers, "MOST_FILES", 1)
    with pytest.raises(ImageFileError, match="has more than 1 files"):
        lay_out(layout, tmp_path / "two")


def test_headers_are_bounded(layout: Layout, tmp_path: Path) -> None:
    layout.image([entry("x" * (2 << 20), b"")])
    with pytest.raises(ImageFileError, match="an entry with a header of"):
        lay_out(layout, tmp_path / "root")


# reading ----------------------------------------------------------------------------------------------------------------------------------


def test_damage_is_noticed(layout: Layout, tmp_path: Path) -> None:
    layout.image([entry("a", b"x" * 100)], packed=False)
    for position, path in enumerate(sorted((layout.path / "blobs/sha256").iterdir())):
        good = path.read_bytes()
        path.write_bytes(good[:20] + bytes([good[20] ^ 1]) + good[21:])
        with pytest.raises(ImageFileError, match="damaged"):
            lay_out(layout, tmp_path / f"root{position}")
        path.write_bytes(good[:-1])
        with pytest.raises(ImageFileError):
            lay_out(layout, tmp_path / f"short{position}")
        path.write_bytes(good)
    lay_out(layout, tmp_path / "good")


def test_images_are_picked_by_name_and_platform(layout: Layout) -> None:
    one, two = layout.image([], name="v1"), layout.image([], name="v2", Env=["A=1"])
    with oci.opened(layout.path) as blobs:
        assert oci.find(blobs, "v1").id == one
        assert oci.find(blobs, "v2").id == two
        with pytest.raises(ImageFileError, match="several images are in it, name one: v1, v2"):
            oci.find(blobs)
        with pytest.raises(ImageFileError, match='no image "v3" in it; there are: v1, v2'):
            oci.find(blobs, "v3")
    ours, theirs = layout.manifests
    ours = {**ours, "platform": {"os": "linux", "architecture": ARCHITECTURE}}
    theirs = {**theirs, "platform": {"os": "plan9", "architecture": "vax"}}
    for listed, want in (([theirs, ours], one), ([theirs], "")):
        layout.manifests = [{**layout.json({"manifests": listed}), "mediaType": "application/vnd.oci.image.index.v1+json"}]
        layout.close()
        with oci.opened(layout.path) as blobs:
            if want:
                assert oci.find(blobs).id == want
            else:
                with pytest.raises(ImageFileError, match="only for plan9/vax"):
                    oci.find(blobs)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ("{}", "no image"),
        ('{"manifests": [{"digest": "md5:1"}]}', "is no digest"),
        ('{"manifests": [{"digest": "sha256:../../x"}]}', "is no digest"),
        ('{"manifests": [{"digest": "sha256:1"}]}', "has no blobs/sha256/1"),
    ],
)
def test_layouts_that_are_none(layout: Layout, content: str, want: str) -> None:
    (layout.path / "index.json").write_text(content)
    with oci.opened(layout.path) as blobs, pytest.raises(ImageFileError, match=want):
        oci.find(blobs)


def test_an_archive_of_docker(tmp_path: Path) -> None:
    layer = tar([entry("a", b"1")])
    config = json.dumps({"architecture": ARCHITECTURE, "rootfs": {"diff_ids": [digest(layer)] * 2}, "config": {"Cmd": ["/a"]}}).encode()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["team/x:1"], "Layers": ["l/layer.tar", "m/layer.tar"]}]).encode()
    file = tmp_path / "x.tar"
    file.write_bytes(
        tar([entry("manifest.json", manifest), entry("c.json", config), entry("l/layer.tar", layer), link("m/layer.tar", "../l/layer.tar")])
    )
    with oci.opened(file) as blobs:
        found = oci.find(blobs, "team/x:1")
        assert (found.names, found.config.command, found.id) == (["team/x:1"], ["/a"], digest(config))
        layers.unpack(blobs, found, tmp_path / "root", give_away=False)
        with pytest.raises(ImageFileError, match='no image "y" in it; there are: team/x:1'):
            oci.find(blobs, "y")
    assert tree(tmp_path / "root") == {"a": "1"}
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ImageFileError, match="is no archive of an image"), oci.opened(tmp_path / "text"):
        pass


# environments -----------------------------------------------------------------------------------------------------------------------------


PASSWD = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/srv/app:/bin/sh\nbroken\n"


@pytest.mark.parametrize(
    ("user", "want_user", "want_home"),
    [
        ("", "", "/root"),
        ("app", "1000:1001", "/srv/app"),
        ("1000", "1000:1001", "/srv/app"),
        ("7", "7:0", "/"),
        ("7:8", "7:8", "/"),
        ("app:staff", "1000:50", "/srv/app"),
        ("root", "0:0", "/root"),
    ],
)
def test_users_are_found_in_the_image(tmp_path: Path, user: str, want_user: str, want_home: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(PASSWD)
    (tmp_path / "etc/group").write_bytes(b"staff:x:50:\n")
    assert unpacked.find_user(tmp_path, user) == unpacked.Users(want_user, want_home)


def test_users_are_not_looked_up_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to("/etc")
    with pytest.raises(ImageFileError, match="too many symbolic links"):
        unpacked.find_user(tmp_path, "daemon")
    (tmp_path / "etc").unlink()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    with pytest.raises(ImageFileError, match='it runs as "daemon", who is not in its /etc/passwd'):
        unpacked.find_user(tmp_path, "daemon")


def test_an_image_becomes_an_environment_once(layout: Layout, tmp_path: Path) -> None:
    layout.image(
        [folder("etc"), entry("etc/passwd", PASSWD), entry("app", b"x")],
        Env=["PATH=/opt/bin:/bin", "A=b=c", "broken"],
        Entrypoint=["/app"],
        Cmd=["serve"],
        User="app",
        WorkingDir="/srv",
        ExposedPorts={"80/tcp": {}},
    )
    told: list[str] = []

    async def run() -> None:
        store = Store(tmp_path / "store", SystemClock())
        made = await unpacked.ensure(store, f"{layout.path}:latest", told.append)
        assert (Path(made.root) / "app").read_text() == "x"
        assert (made.entrypoint, made.command, made.working_dir, made.user) == (["/app"], ["serve"], "/srv", "1000:1001")
        wanted = {"PATH": "/opt/bin:/bin", "A": "b=c", "HOME": "/srv/app"}
        assert {name: made.variables.get(name) for name in wanted} == wanted
        assert await unpacked.ensure(store, str(layout.path), told.append) == made
        assert len([line for line in told if "unpacking 1 layers" in line]) == 1
        with pytest.raises(BuildError, match="load it again"):
            await unpacked.ensure(store, "sha256:" + "0" * 64, told.append)
        with pytest.raises(BuildError, match="no image"):
            await unpacked.ensure(store, f"{layout.path}:v9", told.append)
        store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("source", "want"), [("/x/y", ("/x/y", "")), ("/x/y:v1", ("/x/y", "v1")), ("/x/y:team/app:v1", ("/x/y", "team/app:v1"))]
)
def test_sources(source: str, want: tuple[str, str]) -> None:
    assert unpacked.split_source(source) == (Path(want[0]), want[1])


# `lightship images` -----------------------------------------------------------------------------------------------------------------------


def command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    cli.arguments(parser)
    return cli.run(parser.parse_args(argv))


def resolve(image: str, data: Path) -> Environment:
    environments = Environments(environments_directory(), SystemClock())
    try:
        return asyncio.run(Catalogue(data / "images.json", environments).resolve(image, lambda line: None))
    finally:
        environments.store.close()


def environments_directory() -> Path:
    return Path(os.environ["LIGHTSHIP_CACHE"])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIGHTSHIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


def test_map_a_layout(layout: Layout, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout.image([entry("app", b"x")], Cmd=["/app"])
    assert command("map", "team/app", "--oci", f"{layout.path}:latest", "--data-dir", str(data)) == 0
    found = resolve("team/app:v1", data)
    assert (Path(found.root, "app").read_text(), found.command) == ("x", ["/app"])
    assert command("list", "--data-dir", str(data)) == 0
    assert f"{layout.path}:latest" in capsys.readouterr().out
    with pytest.raises(CliError, match='no image "v2"'):
        command("map", "team/app", "--oci", f"{layout.path}:v2", "--data-dir", str(data))
    with pytest.raises(CliError, match="No such file"):
        command("map", "team/app", "--oci", "/nowhere", "--data-dir", str(data))


def test_load_an_archive(layout: Layout, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout.image([entry("app", b"x")], Cmd=["/app"], name="v1")
    file = tmp_path / "image.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(layout.path, ".")
    with pytest.raises(CliError, match="does not say what its image is called"):
        command("load", str(file), "--data-dir", str(data))
    assert command("load", str(file), "--as", "team/app:v1", "--data-dir", str(data)) == 0
    file.unlink()
    found = resolve("team/app:v1", data)
    assert Path(found.root, "app").read_text() == "x"
    with pytest.raises(ImageError, match="no environment is mapped"):
        resolve("team/app:v2", data)
    with pytest.raises(CliError, match="No such file"):
        command("load", str(file), "--data-dir", str(data))
    assert "loaded" in capsys.readouterr().out or command("list", "--data-dir", str(data)) == 0
    environments = Environments(environments_directory(), SystemClock())
    assert keeper.removable(environments.store.listed(), 1e12, 0.0) == [], "it cannot be made again"
    asyncio.run(environments.store.remove(found.name))
    with pytest.raises(ImageError, match="load it again"):
        resolve("team/app:v1", data)
