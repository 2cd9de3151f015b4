"""Lays the layers of an image out in a directory, each over the one before, and trusts none of them.

A layer is a tar of strangers: no entry may name, link or write anything outside of the directory, whatever symbolic links the layers have
put there; sizes and numbers are bounded. Whiteouts remove what lower layers brought. Devices are left out: the runtime has its own.
Called by `unpacked`, in a thread. Contract: OCI image-spec, layer.md.
"""

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from pathlib import Path
from typing import IO, cast

import msgspec

from .oci import Blobs, Image, ImageFileError, Layer, Verified

MOST_BYTES = 64 * 2**30
"""Of an unpacked image."""
MOST_FILES = 2_000_000
MOST_HEADER = 2**20
SPARE_BYTES = 256 * 2**20
"""Bytes of the disk that an image must leave free."""
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINKS = 40
"""Symbolic links that one path may lead through, as in the kernel."""
_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh"
_CHUNK = 1 << 20


class Unpacked(msgspec.Struct):
    """What became of an image's files."""

    files: int = 0
    bytes: int = 0
    devices: int = 0
    """Left out."""
    foreign: int = 0
    """Files of other users than root that are ours now, since only root can give files away."""


def unpack(blobs: Blobs, image: Image, root: Path, *, give_away: bool) -> Unpacked:
    """Lay an image out in `root`, which is made. `give_away`: files get the image's owners. Blocks; raises `ImageFileError`."""
    root.mkdir(parents=True)
    root.chmod(0o755)
    root = root.resolve()
    done = Unpacked()
    for layer in image.layers:
        _Layer(root, done, give_away=give_away).apply(blobs, layer)
    return done


class _Member(tarfile.TarInfo):
    """One entry, refused before `tarfile` reads a name of gigabytes into memory or walks backwards."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        extended = self.type in (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if self.size < 0 or (extended and self.size > MOST_HEADER):
            raise ImageFileError(f"a layer has an entry with a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]  # the documented place to look at raw entries


class _Layer:
    def __init__(self, root: Path, done: Unpacked, *, give_away: bool) -> None:
        self._root = str(root)
        self._done = done
        self._give_away = give_away
        self._fresh: set[str] = set()
        """Paths that this layer itself has brought: its whiteouts do not touch them."""
        self._folders: dict[str, tuple[int, float]] = {}

    def apply(self, blobs: Blobs, layer: Layer) -> None:
        """Raises `ImageFileError`."""
        with blobs.open(layer.blob) as file:
            # A blob is named by the digest of what it is, so both the packed and the unpacked bytes are verified.
            named = layer.blob.split("/")
            packed = Verified(file, f"{named[-2]}:{named[-1]}") if layer.blob.startswith("blobs/") else None
            content = Verified(_plain_stream(cast("IO[bytes]", packed or file), file), layer.diff_id, 2 * MOST_BYTES)
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", content), mode="r|", errorlevel=2, tarinfo=_Member) as tar:
                    for member in tar:
                        self._add(tar, member)
            except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
                raise ImageFileError(f"layer {layer.blob} is damaged: {error}") from error
            except OSError as error:
                raise ImageFileError(f"layer {layer.blob}: {error.strerror or error}") from error
            content.finish()
            if packed is not None:
                packed.finish()
        for path, (mode, mtime) in reversed(self._folders.items()):
            if os.path.realpath(path) == path and os.path.isdir(path):  # it may be something else by now, or lie behind a link
                os.chmod(path, mode)
                os.utime(path, (mtime, mtime))

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._count(member)
        parts = _parts(member.name)
        if not parts:
            return  # the root itself
        name = parts[-1]
        parent = self._folder(parts[:-1])
        if name == _OPAQUE:
            self._clear(parent)
        elif name.startswith(_WHITEOUT):
            self._hide(f"{parent}/{_bare(name.removeprefix(_WHITEOUT), member.name)}")
        else:
            self._write(tar, member, f"{parent}/{name}")

    def _count(self, member: tarfile.TarInfo) -> None:
        self._done.files += 1
        self._done.bytes += max(0, member.size)
        if self._done.files > MOST_FILES:
            raise ImageFileError(f"the image has more than {MOST_FILES} files")
        if self._done.bytes > MOST_BYTES:
            raise ImageFileError(f"the image is larger than {MOST_BYTES >> 30} GiB when it is unpacked")
        if member.size > _CHUNK:
            free = shutil.disk_usage(self._root).free
            if free - member.size < SPARE_BYTES:
                raise ImageFileError(f"no space for the image: {free >> 20} MiB are free")

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.isdir():
            self._make_folder(member, path)
            return
        if member.ischr() or member.isblk() or member.isfifo():
            self._done.devices += 1
            return
        source = self._link_source(member) if member.islnk() else ""
        if source == path:
            return
        _remove(path)
        self._mark(path)
        if member.issym():
            os.symlink(member.linkname, path)
            self._own(member, path)
        elif source:
            os.link(source, path, follow_symlinks=False)
        else:
            self._copy(tar, member, path)

    def _copy(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        found = tar.extractfile(member)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            if found is not None:
                shutil.copyfileobj(found, out, _CHUNK)
        self._own(member, path)
        # After the change of owner, which takes the set-uid bit away. We must be able to read what we will show.
        os.chmod(path, member.mode & 0o7777 if self._give_away else member.mode & 0o7777 | 0o400)
        os.utime(path, (member.mtime, member.mtime))

    def _make_folder(self, member: tarfile.TarInfo, path: str) -> None:
        if not (os.path.isdir(path) and not os.path.islink(path)):
            _remove(path)
            os.mkdir(path, 0o700)
        self._mark(path)
        self._own(member, path)
        # Set at the end of the layer: a folder that nobody may write to can still have files in it.
        self._folders[path] = (member.mode & 0o7777 if self._give_away else member.mode & 0o7777 | 0o700, member.mtime)

    def _own(self, member: tarfile.TarInfo, path: str) -> None:
        if self._give_away:
            os.chown(path, member.uid, member.gid, follow_symlinks=False)
        elif member.uid or member.gid:
            self._done.foreign += 1

    def _link_source(self, member: tarfile.TarInfo) -> str:
        """The file of the image that a hard link names."""
        parts = _parts(member.linkname)
        if not parts:
            raise ImageFileError(f'"{member.name}" is a hard link to the root')
        path = f"{self._folder(parts[:-1])}/{parts[-1]}"
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            raise ImageFileError(f'"{member.name}" is a hard link to "{member.linkname}", which is not there') from None
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise ImageFileError(f'"{member.name}" is a hard link to "{member.linkname}", which is no file')
        return path

    def _folder(self, parts: list[str]) -> str:
        return cast("str", walk(self._root, parts, make=True))

    def _mark(self, path: str) -> None:
        """Remember that this layer brought something there, and so is in every folder above."""
        while path not in self._fresh and path != self._root:
            self._fresh.add(path)
            path = os.path.dirname(path)

    def _clear(self, folder: str) -> None:
        for name in os.listdir(folder):
            self._hide(f"{folder}/{name}")

    def _hide(self, path: str) -> None:
        """Delete what lower layers brought there."""
        if path not in self._fresh:
            _remove(path)
        elif os.path.isdir(path) and not os.path.islink(path):
            self._clear(path)


def walk(root: str, parts: list[str], *, make: bool = False) -> str | None:
    """The directory of an image at a path: links are followed as the image's own root would. What is missing is made, or None returned.

    `root` must be free of links itself; so is what is returned. Raises `ImageFileError` for links without end.
    """
    path, left, links = root, list(reversed(parts)), 0
    while left:
        part = left.pop()
        if part == "..":
            path = path if path == root else os.path.dirname(path)
            continue
        step = f"{path}/{part}"
        try:
            mode = os.lstat(step).st_mode
        except FileNotFoundError:
            mode = 0
        if stat.S_ISLNK(mode):
            links += 1
            if links > _LINKS:
                raise ImageFileError(f'"{"/".join(parts)}" leads through too many symbolic links')
            text = os.readlink(step)
            path = root if text.startswith("/") else path
            left += [p for p in reversed(text.split("/")) if p not in ("", ".")]
            continue
        if not stat.S_ISDIR(mode):
            if not make:
                return None
            if mode:
                os.unlink(step)
            os.mkdir(step, 0o755)
        path = step
    return path


def _remove(path: str) -> None:
    """Delete whatever is there, without following links."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        _remove_folder(path)
    else:
        os.unlink(path)


def _remove_folder(path: str) -> None:
    """Also one whose permissions forbid it."""
    for place, folders, _ in os.walk(path):
        for name in folders:
            if not os.path.islink(f"{place}/{name}"):
                os.chmod(f"{place}/{name}", 0o700)
    os.chmod(path, 0o700)
    shutil.rmtree(path)


def _plain_stream(packed: IO[bytes], file: IO[bytes]) -> IO[bytes]:
    """The bytes of the tar inside a blob, whatever it is packed with."""
    start = file.read(8)
    file.seek(0)
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    for magic, name in ((_ZSTD, "zstd"), (_XZ, "xz"), (_BZIP2, "bzip2")):
        if start.startswith(magic):
            raise ImageFileError(f"a layer is packed with {name}, which is not supported: write the image with gzip layers")
    return packed


def _parts(name: str) -> list[str]:
    """The components of a path in a layer. Raises `ImageFileError` for one that leads out of it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise ImageFileError(f'"{name}" leads out of the image')
    return parts


def _bare(name: str, whiteout: str) -> str:
    if name in ("", ".", ".."):
        raise ImageFileError(f'"{whiteout}" removes nothing that an image can have')
    return name
