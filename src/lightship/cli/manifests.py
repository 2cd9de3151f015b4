"""Objects from files: YAML or JSON, several documents in one file, `List`s unfolded, `-` for standard input, folders by their files.

Called by `apply` and `delete`. Every object remembers the file it came from, so that an error can name it.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightship.meta.objects import Obj

from .errors import CliError

SUFFIXES = (".yaml", ".yml", ".json")


class Manifest(NamedTuple):
    obj: Obj
    source: str
    """The file, and which document of it."""


def read(paths: Iterable[str]) -> list[Manifest]:
    """All objects of all files; each path must hold one at least.

    Raises `CliError` for a file that is missing, not text, not YAML, empty, or holds something that is no object.
    """
    found: list[Manifest] = []
    for path in paths:
        manifests = [manifest for source, text in _texts(path) for manifest in parse(text, source)]
        if not manifests:
            where = "standard input" if path == "-" else path
            raise CliError(f"{where}: there is no object in it", hint=f"files end in {', '.join(SUFFIXES)} and hold YAML or JSON objects")
        found += manifests
    return found


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "standard input", _decode(sys.stdin.buffer.read(), "standard input")
        return
    where = Path(path)
    try:
        files = sorted(f for f in where.iterdir() if f.suffix in SUFFIXES) if where.is_dir() else [where]
        for file in files:
            yield str(file), _decode(file.read_bytes(), str(file))
    except OSError as error:
        raise CliError(f"{error.filename} cannot be read: {error.strerror}") from error


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CliError(f"{source} is not text in UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from error


def parse(text: str, source: str) -> Iterator[Manifest]:
    """The objects of one file's text."""
    try:
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise CliError(f"{source}{place} is not YAML: {getattr(error, 'problem', None) or error}") from error
    for number, document in enumerate(documents, 1):
        where = source if len(documents) == 1 else f"{source} (document {number})"
        yield from (Manifest(obj, where) for obj in _unfold(document, where))


def _unfold(document: Any, where: str) -> Iterator[Obj]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise CliError(f"{where}: expected an object, found {type(document).__name__}")
    if isinstance(document.get("items"), list) and str(document.get("kind", "")).endswith("List"):
        for item in document["items"]:
            yield from _unfold(item, where)
    else:
        _check_identity(document, where)
        yield document


def _check_identity(obj: Obj, where: str) -> None:
    """What we need to ask for the object at all; everything else about it is the server's to judge."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict | None):
        raise CliError(f"{where}: metadata must be an object, found {type(metadata).__name__}")
    for field in ("name", "namespace", "generateName"):
        value = (metadata or {}).get(field)
        if not isinstance(value, str | None):
            raise CliError(f"{where}: metadata.{field} must be text, found {value!r}", hint=f'in YAML, quote it: {field}: "{value}"')
