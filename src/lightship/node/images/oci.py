"""OCI images on disk: layouts and archives, read and verified down to the last byte, never fetched.

A layout is a directory (`index.json`, `blobs/`) or a tar of one; `docker save` writes a tar with `manifest.json`. `find` picks one image
of them; `unpack` lays its files out with `layers`. Contract: OCI image-spec 1.1 and Docker's image specification 1.2.
Called by `unpacked` and `lightship images`.
"""

import hashlib
import platform
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import msgspec

MOST_JSON = 16 * 2**20
"""Bytes of a manifest or configuration at most."""
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_DEPTH = 4
_CHUNK = 1 << 20


class ImageFileError(Exception):
    """A layout or archive that cannot be used: what is wrong with it, in one line."""


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an image wants to be run."""

    env: list[str] = []
    entrypoint: list[str] = []
    command: list[str] = []
    working_dir: str = ""
    user: str = ""
    ports: list[str] = []


class Layer(NamedTuple):
    """One layer: the blob, and the digest of its content once it is unpacked (`diff_id`)."""

    blob: str
    diff_id: str


class Image(NamedTuple):
    """One image of a layout: `id` is the digest of its configuration."""

    id: str
    names: list[str]
    config: Config
    layers: list[Layer]


class Blobs(Protocol):
    """Where the files of a layout or archive are."""

    def open(self, name: str) -> IO[bytes]:
        """Raises `ImageFileError` when there is no such file."""
        ...

    def has(self, name: str) -> bool: ...


class Directory:
    """A layout on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> IO[bytes]:
        try:
            return (self._path / name).open("rb")
        except OSError as error:
            raise ImageFileError(f"{self._path} has no {name} ({error.strerror})") from error

    def has(self, name: str) -> bool:
        return (self._path / name).is_file()


class Archive:
    """A layout, or what `docker save` writes, in one tar."""

    def __init__(self, file: Path, tar: tarfile.TarFile) -> None:
        self._file = file
        self._tar = tar
        self._members = {_plain(member.name): member for member in tar}

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        if member is not None and (member.issym() or member.islnk()):  # Docker's older archives name equal layers once
            base = name.rpartition("/")[0] if member.issym() else ""
            member = self._members.get(_resolve(base, member.linkname))
        found = self._tar.extractfile(member) if member is not None and member.isreg() else None
        if found is None:
            raise ImageFileError(f"{self._file} has no {name}")
        return found

    def has(self, name: str) -> bool:
        return name in self._members


@contextmanager
def opened(path: Path) -> Iterator[Blobs]:
    """A layout's directory or an archive. Raises `ImageFileError`."""
    if path.is_dir():
        yield Directory(path)
        return
    try:
        with tarfile.open(path, "r:*") as tar:
            yield Archive(path, tar)
    except OSError as error:
        raise ImageFileError(f"{path}: {error.strerror or error}") from error
    except tarfile.TarError as error:
        raise ImageFileError(f"{path} is no archive of an image: {error}") from error


def find(blobs: Blobs, tag: str = "") -> Image:
    """The image of that tag or name; without one, the only image there is. Raises `ImageFileError`."""
    if blobs.has("manifest.json"):  # newer archives of Docker are both
        return _from_docker(blobs, tag)
    if blobs.has("index.json"):
        return _from_layout(blobs, tag)
    raise ImageFileError("no index.json and no manifest.json: neither an OCI layout nor an archive of `docker save`")


def names(blobs: Blobs) -> list[str]:
    """The names of all images in it. Raises `ImageFileError`."""
    if blobs.has("manifest.json"):
        return sorted({str(name) for image in _docker_images(blobs) for name in image.get("RepoTags") or ()})
    return sorted({name for m in _layout_manifests(blobs) for name in _names(m)[-1:]})


# OCI --------------------------------------------------------------------------------------------------------------------------------------


def _from_layout(blobs: Blobs, tag: str) -> Image:
    manifests = _layout_manifests(blobs)
    names = {name for m in manifests for name in _names(m)}
    chosen = [m for m in manifests if not tag or tag in _names(m) or tag == m.get("digest")]
    if not chosen:
        raise ImageFileError(f'no image "{tag}" in it; there are: {", ".join(sorted(names)) or "none with a name"}')
    if len({m.get("digest") for m in chosen}) > 1 and not _one_platform(chosen):
        raise ImageFileError(f"several images are in it, name one: {', '.join(sorted(names)) or 'by its digest'}")
    own = sorted({name for m in chosen for name in _names(m)})
    return _manifest(blobs, _choose(chosen), own, _DEPTH)


def _layout_manifests(blobs: Blobs) -> list[dict[str, Any]]:
    with blobs.open("index.json") as file:
        index = _json(file.read(MOST_JSON + 1), "index.json")
    return [m for m in index.get("manifests") or () if isinstance(m, dict)]


def _names(descriptor: dict[str, Any]) -> list[str]:
    annotations = descriptor.get("annotations") or {}
    found = [annotations.get(_NAME, ""), annotations.get(_FULL_NAME, "")]
    return [str(name) for name in found if name]


def _manifest(blobs: Blobs, descriptor: dict[str, Any], names: list[str], depth: int) -> Image:
    body = _blob_json(blobs, descriptor)
    if descriptor.get("mediaType") in _INDEXES or "manifests" in body:
        if depth == 0:
            raise ImageFileError("indexes within indexes within indexes: this is no image")
        return _manifest(blobs, _choose(body.get("manifests") or []), names, depth - 1)
    if not isinstance(body.get("config"), dict) or not isinstance(body.get("layers"), list):
        raise ImageFileError("a manifest without config or layers: an artifact, not an image")
    config = _blob_json(blobs, body["config"])
    layers = [_blob_name(layer) for layer in body["layers"]]
    return _image(str(body["config"]["digest"]), names, config, layers)


def _choose(descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several platforms, this machine's."""
    if not descriptors:
        raise ImageFileError("an index that lists nothing")
    ours = [d for d in descriptors if _fits(d)]
    if ours:
        return ours[0]
    if len(descriptors) == 1 and not descriptors[0].get("platform"):
        return descriptors[0]
    there = sorted({_platform(d) for d in descriptors})
    raise ImageFileError(f"no image for {_here()} in it, only for {', '.join(there)}")


def _one_platform(descriptors: list[dict[str, Any]]) -> bool:
    """Are these one image in several platforms, so that this machine's is meant?"""
    return all(d.get("platform") for d in descriptors) and len([d for d in descriptors if _fits(d)]) == 1


def _fits(descriptor: dict[str, Any]) -> bool:
    return _platform(descriptor) == _here()


def _platform(descriptor: dict[str, Any]) -> str:
    found = descriptor.get("platform") or {}
    return f"{found.get('os', '?')}/{found.get('architecture', '?')}"


def _here() -> str:
    machine = platform.machine()
    return f"{'linux' if sys.platform == 'linux' else sys.platform}/{_ARCHITECTURES.get(machine, machine)}"


def _blob_json(blobs: Blobs, descriptor: dict[str, Any]) -> dict[str, Any]:
    name = _blob_name(descriptor)
    with blobs.open(name) as file:
        content = file.read(MOST_JSON + 1)
    digest = str(descriptor["digest"])
    if hashing(digest, content).hexdigest() != digest.partition(":")[2]:
        raise ImageFileError(f"{name} is not what its digest says: the layout is damaged")
    return _json(content, name)


def _blob_name(descriptor: dict[str, Any]) -> str:
    algorithm, _, value = str(descriptor.get("digest")).partition(":")
    if algorithm not in ("sha256", "sha512") or not value.isalnum():
        raise ImageFileError(f'"{descriptor.get("digest")}" is no digest of sha256 or sha512')
    return f"blobs/{algorithm}/{value}"


# docker save ------------------------------------------------------------------------------------------------------------------------------


def _from_docker(blobs: Blobs, tag: str) -> Image:
    images = _docker_images(blobs)
    names = sorted({str(name) for image in images for name in image.get("RepoTags") or ()})
    chosen = [i for i in images if not tag or tag in (i.get("RepoTags") or ())]
    if len(chosen) != 1:
        wrong = "several images are in it, name one" if chosen else f'no image "{tag}" in it; there are'
        raise ImageFileError(f"{wrong}: {', '.join(names) or 'none with a name'}")
    image = chosen[0]
    with blobs.open(_plain(str(image.get("Config")))) as file:
        content = file.read(MOST_JSON + 1)
    config = _json(content, "the configuration")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return _image(digest, list(image.get("RepoTags") or ()), config, [_plain(str(layer)) for layer in image.get("Layers") or ()])


def _docker_images(blobs: Blobs) -> list[dict[str, Any]]:
    with blobs.open("manifest.json") as file:
        try:
            return msgspec.json.decode(file.read(MOST_JSON), type=list[dict[str, Any]])
        except msgspec.MsgspecError as error:
            raise ImageFileError(f"manifest.json is no list of images: {error}") from error


# both -------------------------------------------------------------------------------------------------------------------------------------


def _image(id: str, names: list[str], config: dict[str, Any], layers: list[str]) -> Image:
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(diff_ids) != len(layers):
        raise ImageFileError(f"{len(layers)} layers, but digests for {len(diff_ids)}: the image is damaged")
    found = f"{config.get('os', 'linux')}/{config.get('architecture', '')}"
    if config.get("architecture") and found != _here():
        raise ImageFileError(f"it is for {found}, this machine is {_here()}")
    run = config.get("config") or {}
    try:
        wanted = msgspec.convert(
            {
                "env": run.get("Env") or [],
                "entrypoint": run.get("Entrypoint") or [],
                "command": run.get("Cmd") or [],
                "working_dir": run.get("WorkingDir") or "",
                "user": run.get("User") or "",
                "ports": sorted(run.get("ExposedPorts") or {}),
            },
            Config,
        )
    except msgspec.ValidationError as error:
        raise ImageFileError(f"its configuration is malformed: {error}") from error
    return Image(id, names, wanted, [Layer(blob, str(diff)) for blob, diff in zip(layers, diff_ids, strict=True)])


class Verified:
    """A stream that knows the digest of all that was read through it."""

    def __init__(self, file: IO[bytes], digest: str, most: int = 1 << 62) -> None:
        self._file = file
        self._digest = digest
        self._left = most
        self._hash = hashing(digest)

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise ImageFileError("a layer has no end: the image is too large")
        self._hash.update(chunk)
        return chunk

    def finish(self) -> None:
        """Read what is left and compare. Raises `ImageFileError`."""
        while self.read(_CHUNK):
            pass
        if self._hash.hexdigest() != self._digest.partition(":")[2]:
            raise ImageFileError(f"a layer is not what its digest {self._digest} says: the image is damaged")


def hashing(digest: str, content: bytes = b"") -> "hashlib._Hash":
    """A hash of the algorithm that a digest names. Raises `ImageFileError`."""
    algorithm = digest.partition(":")[0]
    if algorithm not in ("sha256", "sha512"):
        raise ImageFileError(f'"{digest}" is no digest of sha256 or sha512')
    return hashlib.new(algorithm, content)


def _json(content: bytes, name: str) -> dict[str, Any]:
    if len(content) > MOST_JSON:
        raise ImageFileError(f"{name} is larger than {MOST_JSON} bytes")
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ImageFileError(f"{name} is no JSON object: {error}") from error


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _resolve(base: str, link: str) -> str:
    """A relative link inside an archive, without dots."""
    parts: list[str] = base.split("/") if base else []
    for part in link.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
