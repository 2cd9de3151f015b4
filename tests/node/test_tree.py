"""The file tree of a container: writable anywhere, nobody else's, an image's own. As root and rootless."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.node.runtimes.runtime import ContainerError, Mount, Security

from . import tiers
from .contract import World
from .tiers import Tier

pytestmark = pytest.mark.slow

BUSYBOX = "/usr/bin/busybox"


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


def test_everything_may_be_written_and_is_gone_afterwards(tier: Tier) -> None:
    places = ["/", "/usr/bin", "/usr/share/deep", "/usr/local/lib", "/etc", "/opt", "/var/lib", "/tmp", "/root", "/run"]
    script = "".join(f"mkdir -p {place} && echo mine > {place}/by-the-pod || echo {place}; " for place in places)
    check = "".join(f"test -e {place}/by-the-pod && echo {place}; " for place in places)

    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.sh(script + "rm -f /etc/group; rm /usr/bin/env; test -e /usr/bin/env || echo done")
        assert text == "done\n"
        _, text = await w.sh(check + "ls /etc/group /usr/bin/env")
        assert text.split() == ["/etc/group", "/usr/bin/env"], "a restart finds what the image had"
        await w.sh(script, name="first")
        _, text = await w.sh(check + "echo nothing", name="second")
        assert text == "nothing\n"
        await w.runtime.remove_sandbox("uid-a")
        assert not (w.pod_directory("a") / "sandbox").exists()

    tier.drive(story)
    assert not any(Path(place, "by-the-pod").exists() for place in places)


def test_programs_are_found_where_this_machine_has_them(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        end, text = await w.run(["/bin/ldconfig", "--version"])
        assert (end.code, text[:8]) == (0, "ldconfig")
        with pytest.raises(ContainerError, match="no such file"):
            await w.run(["/bin/no-such-program"])

    tier.drive(story)


def test_users_have_names_and_homes(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.sh('id -un; id -gn; echo "$HOME"; whoami', security=Security(uid=4321, gid=4322))
        assert text.split() == ["4321", "4322", "/workspace", "4321"]
        _, text = await w.sh("getent passwd 4321; touch ~/x; pwd", security=Security(uid=4321), env={"HOME": "/home/me"}, cwd="/data/new")
        assert text.split("\n")[:2] == ["4321:x:4321:0:4321 user:/home/me:/sbin/nologin", "/data/new"]
        _, text = await w.sh("id -un", security=Security(uid=4321, read_only_root=True))
        assert text == "4321\n"
        unknown = Security(uid=4321, gid=4322, read_only_root=True)
        _, text = await w.sh("id -un; id -gn; ls -d /etc/new/x; ls -A /dev", security=unknown, mounts=[Mount(target="/etc/new/x")])
        assert text.split()[:3] == ["4321", "4322", "/etc/new/x"], "a volume in a directory that is not there"
        assert ".names" not in text
        _, text = await w.sh("id -un; grep -c 4321 /etc/passwd")
        assert text.split() == ["root", "0"]

    tier.drive(story)


@pytest.fixture
def image(tier: Tier) -> Path:
    """A file tree with one program, as if unpacked."""
    if not os.path.exists(BUSYBOX):
        pytest.skip("no busybox")
    root = tier.directory / "image"
    linked = subprocess.run(["ldd", BUSYBOX], capture_output=True, text=True, check=False).stdout
    for source, target in [(BUSYBOX, "/bin/busybox"), *((path, path) for path in re.findall(r"/\S+", linked))]:
        place = root / target[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    for name in ("sh", "cat", "ls", "id", "touch", "echo", "mount", "stat"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:101:102::/srv/web:/bin/sh\n")
    (root / "etc" / "release").write_text("of the image\n")
    if tier.name == "rootless" and os.geteuid() == 0:
        for path in [root, *root.rglob("*")]:
            os.chown(path, tiers.NOBODY, tiers.NOBODY, follow_symlinks=False)
    return root


def test_an_image_brings_its_whole_tree(tier: Tier, image: Path) -> None:
    before = sorted(str(path) for path in image.rglob("*"))

    async def story(w: World) -> None:
        await w.pod()
        script = (
            "cat /etc/release; ls /; pwd; echo $HOME; id -un; touch /new /bin/new && test -e /dev/null -a -e /proc/1 && cat /etc/hostname"
        )
        _, text = await w.sh(script, root=str(image), env={"PATH": "/bin"})
        lines = text.splitlines()
        assert lines[0] == "of the image"
        assert {"bin", "etc", "proc", "dev"} <= set(lines[1:-4])
        assert not {"usr", "workspace", "opt"} & set(lines[1:-4])
        assert lines[-4:] == ["/", "/root", "root", "a"]
        web = Security(uid=101, gid=102)
        _, text = await w.sh(
            "id -un; echo $HOME; ls /data", root=str(image), env={"PATH": "/bin"}, security=web, mounts=[Mount(target="/data")]
        )
        assert text.split() == ["web", "/srv/web"]
        _, text = await w.sh("touch /new || echo no", root=str(image), env={"PATH": "/bin"}, security=Security(read_only_root=True))
        assert text.endswith("no\n")

    tier.drive(story)
    assert sorted(str(path) for path in image.rglob("*")) == before


def test_links_of_an_image_lead_nowhere(tier: Tier, image: Path) -> None:
    precious = tier.directory / "precious"
    precious.mkdir()
    precious.chmod(0o777)
    for name in ("proc", "sys", "dev", "data"):
        (image / name).symlink_to(precious)

    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.sh(
            "ls /proc/self/status; echo x > /data/y/x", root=str(image), env={"PATH": "/bin"}, mounts=[Mount(target="/data/y")]
        )
        assert "/proc/self/status" in text

    tier.drive(story)
    assert not list(precious.iterdir())


def test_without_layers_trees_are_read_only_but_for_what_is_private() -> None:
    """Where the pods' directory is itself in layers no others can be put over it."""
    with tiers.tier("root") as tier:
        top = tier.directory
        for name in ("lower", "upper", "work", "merged"):
            (top / name).mkdir()
        options = f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(top / "merged")], check=True)
        try:

            async def story(w: World) -> None:
                await w.pod()
                _, text = await w.sh("touch /usr/x || echo closed; touch /tmp/x /var/tmp/x x && df / | grep -c tmpfs; cat /etc/shadow")
                assert [line for line in text.split("\n") if line in ("closed", "1")] == ["closed", "1"]
                assert "root:" not in text
                _, text = await w.sh("id -un; ls", security=Security(uid=4321), mounts=[Mount(target="/usr/deep/volume")])
                assert text == "4321\n"
                with pytest.raises(ContainerError, match="overlayfs"):
                    await w.sh("true", root=str(top / "lower"))

            Tier("root", top / "merged").drive(story)
        finally:
            subprocess.run(["umount", "-l", str(top / "merged")], check=True)


def test_files_of_an_image_are_the_containers_to_change(tier: Tier) -> None:
    brought = tier.directory / "brought"
    (brought / "pages").mkdir(parents=True)
    (brought / "pages" / "index.html").write_text("a page\n")
    (brought / "key").write_text("a key\n")
    (brought / "run").write_text("#!/bin/sh\necho ran\n")
    (brought / "run").chmod(0o755)
    (brought / "program").write_bytes(b"#" * 100_000)
    volume = tier.directory / "volume"
    volume.mkdir()
    for path in [*brought.rglob("*"), brought, volume]:
        if tier.name == "rootless" and os.geteuid() == 0:
            os.chown(path, tiers.NOBODY, tiers.NOBODY)
    places = {"/srv/www": "pages", "/key": "key", "/usr/local/bin/run": "run", "/etc/program": "program", "/data/key": "key"}
    files = [Mount(source=str(brought / source), target=target, read_only=True, of_image=True) for target, source in places.items()]
    mounts = [*files, Mount(source=str(volume), target="/data"), Mount(source=str(volume), target="/srv/www/more")]

    async def story(w: World) -> None:
        await w.pod()
        _, text = await w.sh(
            "mv /srv/www/index.html /key /tmp/ && cat /tmp/index.html /tmp/key; echo new > /srv/www/index.html; rm /usr/local/bin/run; "
            "echo >> /etc/program || wc -c < /etc/program; ls /data; echo x > /data/x; ls /srv/www/more",
            mounts=mounts,
        )
        lines = [line for line in text.splitlines() if "/etc/program" not in line]
        assert lines == ["a page", "a key", "100000", "x"]
        _, text = await w.sh("cat /srv/www/index.html /key; run", mounts=files)
        assert text.split("\n")[:3] == ["a page", "a key", "ran"], "a restart finds what the image had"
        closed = Security(read_only_root=True)
        _, text = await w.sh("cat /key; rm /key /srv/www/index.html || cat /srv/www/index.html", mounts=files, security=closed)
        assert [line for line in text.splitlines() if not line.startswith("rm")] == ["a key", "a page"]

    tier.drive(story)
    assert (brought / "pages" / "index.html").read_text() == "a page\n"
    assert [path.name for path in volume.iterdir()] == ["x"]
