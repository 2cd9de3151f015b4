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
    """All objects of all files. Raises `CliError` for a file that is missing, not YAML, or holds something that is no object."""
    return [manifest for path in paths for source, text in _texts(path) for manifest in parse(text, source)]


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "standard input", sys.stdin.read()
        return
    where = Path(path)
    files = sorted(f for f in where.iterdir() if f.suffix in SUFFIXES) if where.is_dir() else [where]
    for file in files:
        try:
            yield str(file), file.read_text()
        except OSError as error:
            raise CliError(f"{file} cannot be read: {error.strerror}") from error


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
        yield document
