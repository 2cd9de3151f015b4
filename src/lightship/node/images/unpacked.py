"""Images with a file tree of their own: unpacked once, from a layout on disk or a loaded archive, and run as their configuration says.

`catalogue` asks for the environment of an entry's `oci`: `PATH[:TAG]` of a layout or archive, or the id of an image that was loaded. What
is unpacked lies in the store, like every environment: `root/` and `image.json`.
"""

import asyncio
import os
import stat
from pathlib import Path

import msgspec

from . import layers, oci, passthrough
from .environments import Environment
from .installer import BuildError, Progress
from .layers import Unpacked
from .oci import Config, Image, ImageFileError
from .store import Record, Store

_FILE = "image.json"


class Users(msgspec.Struct, frozen=True):
    """Who an image runs as: numbers, and the home directory."""

    user: str = ""
    home: str = "/root"


class Stored(msgspec.Struct, frozen=True):
    """What `image.json` says."""

    id: str
    config: Config
    users: Users


async def ensure(store: Store, source: str, progress: Progress) -> Environment:
    """The environment of an image on disk, unpacked if need be. Raises `BuildError`."""
    try:
        if source.startswith("sha256:"):
            return await _environment(store, await _loaded(store, source))
        path, tag = split_source(source)
        image = await asyncio.to_thread(look, path, tag)
        return await _environment(store, await unpack(store, path, image, progress))
    except (ImageFileError, OSError) as error:
        raise BuildError(f"{source}: {error}") from error


def split_source(source: str) -> tuple[Path, str]:
    """`PATH[:TAG]`; a path with a colon in it is one if it is there."""
    if os.path.exists(source):
        return Path(source), ""
    colons = [i for i, character in enumerate(source) if character == ":"]
    split = next((i for i in colons if os.path.exists(source[:i])), colons[0] if colons else len(source))
    return Path(source[:split]), source[split + 1 :]


def look(path: Path, tag: str) -> Image:
    """What a layout or archive has under that tag. Blocks; raises `ImageFileError`."""
    with oci.opened(path) as blobs:
        return oci.find(blobs, tag)


def name_of(id: str) -> str:
    """The name of an image's environment."""
    return f"image-{id.partition(':')[2][:16]}"


async def unpack(store: Store, path: Path, image: Image, progress: Progress, *, kept: bool = False) -> str:
    """Have an image unpacked in the store; the name of its environment. Raises `ImageFileError`, `OSError`."""
    name = name_of(image.id)

    async def build(draft: Path) -> Record:
        progress(f"unpacking {len(image.layers)} layers (once; kept in {store.path(name)})")
        done = await asyncio.to_thread(_lay_out, path, image, draft)
        for line in _losses(done):
            progress(line)
        return Record(images=image.names, kept=kept)

    await store.lease(name, build)
    return name


def _lay_out(path: Path, image: Image, draft: Path) -> Unpacked:
    draft.mkdir()
    with oci.opened(path) as blobs:
        done = layers.unpack(blobs, image, draft / "root", give_away=os.geteuid() == 0)
    users = find_user((draft / "root").resolve(), image.config.user)
    (draft / _FILE).write_bytes(msgspec.json.encode(Stored(image.id, image.config, users)))
    return done


def _losses(done: Unpacked) -> list[str]:
    """What could not be unpacked as the image has it."""
    found = []
    if done.foreign:
        found.append(f"{done.foreign} files of other users than root belong to root now: only root can give files away")
    if done.devices:
        found.append(f"{done.devices} device files were left out")
    return found


async def _loaded(store: Store, id: str) -> str:
    async def gone(draft: Path) -> Record:
        raise ImageFileError("it was loaded from a file and has been removed since: load it again")

    await store.lease(name_of(id), gone)
    return name_of(id)


async def _environment(store: Store, name: str) -> Environment:
    path = store.path(name)
    stored = msgspec.json.decode(await asyncio.to_thread((path / _FILE).read_bytes), type=Stored)
    config = stored.config
    return Environment(
        name=name,
        path=[],
        variables={**passthrough.proxies(os.environ), "HOME": stored.users.home, **_variables(config)},
        entrypoint=config.entrypoint,
        command=config.command,
        working_dir=config.working_dir or "/",
        user=stored.users.user,
        root=str(path / "root"),
    )


def _variables(config: Config) -> dict[str, str]:
    return {name: value for name, equals, value in (line.partition("=") for line in config.env) if equals and name}


def find_user(root: Path, user: str) -> Users:
    """`USER` of an image, `name|uid[:group|gid]`, in numbers. Raises `ImageFileError` for a name that the image does not know."""
    name, _, group = user.partition(":")
    uid, gid, home = "0", "0", "/root" if not user else "/"
    if name:
        found = _lookup(root, "passwd", name)
        if found is None and not name.isdecimal():
            raise ImageFileError(f'it runs as "{name}", who is not in its /etc/passwd')
        uid, gid, home = (found[2], found[3], found[5] or "/") if found else (name, "0", "/")
    else:
        found = _lookup(root, "passwd", "0")
        home = found[5] or "/root" if found else "/root"
    if group:
        known = _lookup(root, "group", group)
        if known is None and not group.isdecimal():
            raise ImageFileError(f'it runs as group "{group}", which is not in its /etc/group')
        gid = known[2] if known else group
    return Users(f"{uid}:{gid}" if name or group else "", home)


def _lookup(root: Path, file: str, wanted: str) -> list[str] | None:
    """The line of an account file by name, or by number."""
    fields = 7 if file == "passwd" else 4
    etc = layers.walk(str(root), ["etc"])
    try:
        # An image's files are strangers': a link could lead to a file of this machine.
        descriptor = os.open(f"{etc}/{file}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as opened:
        lines = opened.read(1 << 20).decode(errors="replace").splitlines()
    split = [parts for parts in (line.split(":") for line in lines) if len(parts) >= fields - 1 and parts[2].isdecimal()]
    split = [parts + [""] * fields for parts in split if file != "passwd" or parts[3].isdecimal()]
    return next((p for p in split if p[0] == wanted), None) or next((p for p in split if p[2] == wanted), None)
