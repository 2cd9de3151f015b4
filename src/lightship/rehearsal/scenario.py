"""What is to happen in a rehearsal, and when: files read into a list of timed deeds, or refused before anything runs.

Called by `command` and by tests. A `Scenario` has steps; any other object is applied at the time that its annotation says. Pure but for
the files that steps name. The API is ours: lightship.dev/v1alpha1. Knows no cluster: whether objects are valid is the server's to say.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from lightship.cli import manifests
from lightship.cli.errors import CliError
from lightship.cli.manifests import Manifest
from lightship.emulation.durations import parse as parse_duration
from lightship.emulation.shapes import Shape
from lightship.meta import objects, times
from lightship.meta.objects import Obj

from .templates import Span, UntimedError, timed

API_VERSION, KIND = "lightship.dev/v1alpha1", "Scenario"
AT = "lightship.dev/at"
"""Annotation: when a plain manifest is applied, counted from the beginning. It is not part of the object that is applied."""
MOST_TIMES = 100_000


class _Written(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """What people write: unknown fields are mistakes."""


class Reference(_Written, frozen=True):
    """An object by its kind and name; `apiVersion` where kinds are called alike."""

    kind: str
    name: str
    namespace: str = "default"
    api_version: str = ""


class Scale(Reference, kw_only=True, frozen=True):
    replicas: int


class Nodes(_Written, frozen=True):
    """How many emulated nodes, of which shapes (a file, as `up --node-shapes` takes it)."""

    count: int | None = None
    shapes: str = ""


class Chosen(_Written, frozen=True):
    """Some of the nodes: these names, or those that the selector finds; of them `count`, drawn by the seed, or all. They are back after
    `for`."""

    names: list[str] = []
    selector: str = ""
    count: int = 0
    span: str | int | float = msgspec.field(name="for", default="")


class Step(_Written, frozen=True):
    at: str | int | float = 0
    every: str | int | float = 0
    times: int = 1
    apply: list[str | dict[str, Any]] = []
    runs_for: str = ""
    delete: list[Reference] = []
    scale: list[Scale] = []
    fail_nodes: Chosen | None = None
    recover_nodes: Chosen | None = None


class Spec(_Written, frozen=True):
    start: Any = ""
    """A moment; YAML makes some texts one by itself."""
    until: str | int | float = 0
    seed: int = 0
    nodes: Nodes = Nodes()
    steps: list[Step] = []


class Apply(NamedTuple):
    manifest: Manifest


class Delete(NamedTuple):
    reference: Reference


class Resize(NamedTuple):
    scale: Scale


class Fail(NamedTuple):
    chosen: Chosen
    seconds: float
    """Until they are back; 0: they do not come back by themselves."""


class Recover(NamedTuple):
    chosen: Chosen


Deed: TypeAlias = Apply | Delete | Resize | Fail | Recover


class Due(NamedTuple):
    """A deed and its time, in seconds from the beginning."""

    at: float
    deed: Deed


class Scenario(NamedTuple):
    """`until` 0: until everything that was submitted has ended. `start` 0: when virtual time usually begins. `nodes` None: as many as the
    shapes say; `shapes_file` is where these stand."""

    name: str
    deeds: Sequence[Due]
    start: float = 0.0
    until: float = 0.0
    seed: int = 0
    nodes: int | None = None
    shapes_file: str = ""
    shapes: Sequence[Shape] | None = None


def read(paths: Iterable[str]) -> Scenario:
    """The scenario of these files, one `Scenario` at most and any number of plain manifests. Raises `CliError` for what is unclear."""
    name, shapes, spec, found = "", "", None, list[Due]()
    for path in paths:
        for manifest in manifests.read([path]):
            if manifest.obj.get("kind") != KIND or not str(manifest.obj.get("apiVersion", "")).startswith("lightship.dev/"):
                found.append(_plain(manifest))
                continue
            if spec is not None:
                raise CliError(f"{manifest.source}: there is a second Scenario", hint="give one; its steps may name any number of files")
            spec = _spec(manifest)
            name = objects.name(manifest.obj)
            shapes = str(_folder(path) / spec.nodes.shapes) if spec.nodes.shapes else ""
            found += _steps(spec, manifest.source, _folder(path))
    spec = spec or Spec()
    if not found and not spec.until:
        raise CliError("nothing happens: there is no step and no time until which to wait", hint="spec.steps, or --until 1h")
    start = _moment(spec.start)
    deeds = sorted(found, key=lambda due: due.at)
    until = seconds(spec.until, "spec.until")
    return Scenario(name or "rehearsal", deeds, start, until, spec.seed, spec.nodes.count, shapes)


def seconds(value: str | float, where: str) -> float:
    """A duration (`1h30m`), or a number of seconds. Raises `CliError`."""
    found = parse_duration(value) if isinstance(value, str) and value else float(value or 0)
    if found is None or found < 0:
        raise CliError(f"{where}: {value!r} is no duration", hint="durations look like 90s, 5m, 1h30m")
    return found


def _moment(told: Any) -> float:
    if isinstance(told, datetime):
        told = told.isoformat()
    try:
        return times.parse(str(told)) if told else 0.0
    except ValueError as error:
        raise CliError(f"spec.start: {error}") from error


def _folder(path: str) -> Path:
    where = Path(path)
    return where if where.is_dir() else where.parent


def _plain(manifest: Manifest) -> Due:
    """A manifest that is no Scenario: applied at its own time."""
    obj = manifest.obj
    text = objects.annotations(obj).get(AT, "")
    at = seconds(text, f"{manifest.source}: annotation {AT}")
    if text:
        rest = {key: value for key, value in objects.annotations(obj).items() if key != AT}
        obj = {**obj, "metadata": {**objects.meta(obj), "annotations": rest}}
    return Due(at, Apply(Manifest(obj, manifest.source)))


def _spec(manifest: Manifest) -> Spec:
    if manifest.obj.get("apiVersion") != API_VERSION:
        raise CliError(f"{manifest.source}: there is no {KIND} in {manifest.obj.get('apiVersion')}", hint=f"apiVersion: {API_VERSION}")
    try:
        return msgspec.convert(manifest.obj.get("spec") or {}, Spec)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$", "`spec")
        raise CliError(f"{manifest.source}: {text[:1].lower()}{text[1:]}", hint="docs/emulation.md has all fields") from error


def _steps(spec: Spec, source: str, folder: Path) -> Iterator[Due]:
    for number, step in enumerate(spec.steps):
        where = f"{source}: steps[{number}]"
        at, every = seconds(step.at, f"{where}.at"), seconds(step.every, f"{where}.every")
        if not 1 <= step.times <= MOST_TIMES:
            raise CliError(f"{where}.times: {step.times} is not between 1 and {MOST_TIMES}")
        deeds = list(_deeds(step, where, folder))
        if not deeds:
            raise CliError(f"{where}: nothing is to be done", hint="a step has apply, delete, scale, failNodes or recoverNodes")
        for turn in range(step.times):
            yield from (Due(at + turn * every, deed) for deed in deeds)


def _deeds(step: Step, where: str, folder: Path) -> Iterator[Deed]:
    span = _span(step.runs_for, f"{where}.runsFor")
    for entry in step.apply:
        for manifest in _manifests(entry, where, folder):
            _check_repeated(step, manifest, where)
            yield Apply(_timed(manifest, span))
    yield from map(Delete, step.delete)
    yield from map(Resize, step.scale)
    if step.fail_nodes is not None:
        yield Fail(step.fail_nodes, seconds(step.fail_nodes.span, f"{where}.failNodes.for"))
    if step.recover_nodes is not None:
        yield Recover(step.recover_nodes)


def _check_repeated(step: Step, manifest: Manifest, where: str) -> None:
    if step.times > 1 and objects.name(manifest.obj):
        what = f"{manifest.obj.get('kind')} {objects.name(manifest.obj)}"
        raise CliError(f"{where}: {what} cannot be made {step.times} times", hint="metadata.generateName instead of metadata.name")


def _manifests(entry: str | Obj, where: str, folder: Path) -> list[Manifest]:
    if isinstance(entry, str):
        return manifests.read([str(folder / entry)])
    if not entry.get("kind") or not entry.get("apiVersion"):
        raise CliError(f"{where}.apply: an object needs apiVersion and kind, and a file is named by its path")
    return [Manifest(entry, where)]


def _span(text: str, where: str) -> Span | None:
    """`30m`, or `20m..1h`: somewhere between."""
    if not text:
        return None
    least, _, most = text.partition("..")
    shortest = seconds(least, where)
    longest = seconds(most, where) if most else shortest
    if longest < shortest:
        raise CliError(f"{where}: {text!r} ends before it begins")
    return Span(shortest, longest)


def _timed(manifest: Manifest, span: Span | None) -> Manifest:
    try:
        return manifest if span is None else Manifest(timed(manifest.obj, span), manifest.source)
    except UntimedError as error:
        raise CliError(f"{manifest.source}: {error}", hint="annotate the pods, or leave runsFor out") from error
