"""The table of images: names as Docker writes them, patterns, and the user's own entries in `images.json`.

`catalogue` turns what an entry says into an environment; `lightship images` writes entries. What is built in lives in `builtin`.
Pure but for reading and writing the one file. Nothing here looks whether what an entry names is there.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the catalogue. `packages` may contain `{tag}`, the image's tag up to the first `-`."""

    pattern: str
    """`repository[:tag]`, both as shell patterns; without a tag every tag matches."""
    packages: list[str] = []
    python: str = ""
    """An interpreter on this machine to use as it is, instead of an environment of ours."""
    command: list[str] = []
    """What runs when a container gives neither command nor args."""
    entrypoint: list[str] = []
    """What a container's args are given to."""
    files: dict[str, str] = {}
    """Path in the container → file or directory of this machine, which no pod changes. `{served}` is the folder of files we bring."""
    path: list[str] = []
    """Directories, as the container sees them, that come first on its PATH."""
    variables: dict[str, str] = {}
    working_dir: str = ""
    user: str = ""
    """`uid` or `uid:gid`; empty: root."""
    requires: dict[str, str] = {}
    """Program that this machine must have → the Debian package that brings it."""
    oci: str = ""
    """An image with files of its own: `PATH[:TAG]` of an OCI layout or archive on this machine, or the id of one that was loaded."""
    downloads: str = ""
    """Where the container sees the directory in which programs of its namespace keep what they have fetched."""
    tools: str = ""
    """A program that is many (busybox): its names come first on PATH where this machine has it, and the machine's own tools where not."""


class MappingsError(ValueError):
    """`images.json` cannot be understood."""


def split_image(image: str) -> tuple[str, str]:
    """Repository and tag, as Docker shortens them: no digest, no `docker.io/`, no `library/`; the tag is `latest` when not given."""
    name = image.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    for prefix in ("docker.io/", "index.docker.io/"):
        repository = repository.removeprefix(prefix)
    return repository.removeprefix("library/"), tag


def matches(pattern: str, image: str) -> bool:
    repository, tag = split_image(image)
    wanted, _, wanted_tag = pattern.partition("@")[0].rpartition(":")
    if not wanted or "/" in wanted_tag:
        wanted, wanted_tag = pattern, "*"
    return fnmatchcase(repository, split_image(wanted + ":x")[0]) and fnmatchcase(tag, wanted_tag)


def packages_for(entry: Entry, image: str) -> list[str]:
    tag = split_image(image)[1].partition("-")[0]
    return [package.replace("{tag}", tag) for package in entry.packages]


def read_mappings(file: Path) -> list[Entry]:
    """The user's table. Raises `MappingsError` with what is wrong with it."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Entry])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise MappingsError(f"{file} is not a table of images ({error}); repair it, or delete it and map again") from error


def write_mapping(file: Path, entry: Entry) -> None:
    """Add an entry in front of the others; one with the same pattern is replaced. Raises `MappingsError`, `OSError`."""
    _write(file, [entry, *(e for e in read_mappings(file) if e.pattern != entry.pattern)])


def remove_mapping(file: Path, pattern: str) -> bool:
    """Forget an entry; False when there is none of that pattern. Raises `MappingsError`, `OSError`."""
    found = read_mappings(file)
    kept = [e for e in found if e.pattern != pattern]
    if len(kept) < len(found):
        _write(file, kept)
    return len(kept) < len(found)


def _write(file: Path, entries: list[Entry]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(entries)) + b"\n")
    draft.replace(file)
