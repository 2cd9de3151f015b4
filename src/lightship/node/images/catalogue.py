"""The catalogue: which environment an image name means, since pods here are processes and no image is ever unpacked.

The built-in table knows the usual names; `images.json` in the platform's data directory, written by `lightship images map`, comes first
and is read again at every resolution. An image that matches nothing is refused with the command that maps it. Called by the agent.
"""

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import msgspec

from . import passthrough
from .environments import BuildError, Environment, Progress


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the catalogue. `packages` may contain `{tag}`, the image's tag up to the first `-`."""

    pattern: str
    """`repository[:tag]`, both as shell patterns; without a tag every tag matches."""
    packages: list[str] = []
    python: str = ""
    """An interpreter on this machine to use as it is, instead of an environment of ours."""
    command: list[str] = []


class Builder(Protocol):
    """What makes environments (`environments.Environments`)."""

    async def ensure(self, requirements: Sequence[str], progress: Progress) -> Environment: ...


SLEEP = ["sleep", "2147483647"]
SHELL = ["sh"]
TORCH = ["torch=={tag}", "numpy", "scikit-learn"]
BUILTIN: tuple[Entry, ...] = (
    Entry("python", command=["python3"]),
    Entry("busybox", command=SHELL),
    Entry("alpine", command=SHELL),
    Entry("bash", command=["bash"]),
    Entry("ubuntu", command=["bash"]),
    Entry("debian", command=["bash"]),
    Entry("pause", command=SLEEP),
    Entry("*/pause", command=SLEEP),
    Entry("pytorch/pytorch:latest", ["torch", "numpy", "scikit-learn"], command=["bash"]),
    Entry("pytorch/pytorch:[0-9]*", TORCH, command=["bash"]),
    Entry("ghcr.io/kubeflow/trainer/xgboost-runtime", ["xgboost", "numpy", "scikit-learn"], command=["bash"]),
    Entry("ghcr.io/kubeflow/trainer/torchtune-trainer", ["torch", "torchao", "torchtune==0.6.1"], command=["bash"]),
    Entry("ghcr.io/kubeflow/trainer/mlx-runtime", ["mlx", "mlx-lm"], command=["bash"]),
    Entry("nvcr.io/nvidia/jax", ["jax", "numpy"], command=["bash"]),
)


class ImageError(Exception):
    """An image that cannot be had: unknown, or its environment could not be built."""


class MappingsError(ValueError):
    """`images.json` cannot be understood."""


class Catalogue:
    """Resolves image names; `file` is the user's own table, which need not exist."""

    def __init__(self, file: Path, builder: Builder) -> None:
        self._file = file
        self._builder = builder

    async def resolve(self, image: str, progress: Progress) -> Environment:
        """The environment of an image, ready to use. Raises `ImageError`."""
        entry = self.find(image)
        if entry is None:
            raise ImageError(f'no environment is mapped to image "{image}"; map it: lightship images map "{image}" --packages ...')
        host = passthrough.settings(os.environ, Path.home())
        try:
            found = _existing(entry) if entry.python else await self._builder.ensure(packages_for(entry, image), progress)
        except BuildError as error:
            raise ImageError(f'the environment for image "{image}" could not be made: {error}') from error
        return msgspec.structs.replace(
            found,
            command=entry.command,
            variables={**host.variables, **found.variables},
            read_only_paths=[*found.read_only_paths, *host.paths],
        )

    def find(self, image: str) -> Entry | None:
        """The first entry that matches. Raises `ImageError` when the user's table is broken."""
        try:
            own = read_mappings(self._file)
        except MappingsError as error:
            raise ImageError(str(error)) from error
        return next((entry for entry in (*own, *BUILTIN) if matches(entry.pattern, image)), None)


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


def _existing(entry: Entry) -> Environment:
    """An interpreter of the user's own, taken as it is."""
    python = Path(entry.python).expanduser()
    if not os.access(python, os.X_OK):
        raise ImageError(f'image pattern "{entry.pattern}" is mapped to {python}, which is not there or not executable')
    prefix = python.parent.parent
    home = _base_of(prefix)
    roots = dict.fromkeys(str(p) for p in (prefix, prefix.resolve(), *([home, home.resolve()] if home else [])))
    return Environment(name=f"python-{python}", path=[str(python.parent)], read_only_paths=list(roots))


def _base_of(prefix: Path) -> Path | None:
    """The installation that a virtual environment was made from."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return None
    home = next((line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home"), "")
    return Path(home).parent if home else None
