"""What a TrainJob's annotations say of its survival: restarts, checkpoints, and between how many nodes it may breathe.

Pure. Read by the plugins of the same names, by `elastic` and `backoff`, and by admission, which refuses what `problems` finds. Where
something was stored that cannot be read (by a server without our admission), it counts as not said.
Contract: ours; the words of elastic jobs are those of upstream's proposal KEP-2903.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from lightship.meta import objects, quantity
from lightship.meta.errors import Cause, forbidden_field, invalid_value, required
from lightship.meta.objects import Obj

from .api import names

GROUP, RANK = "group", "rank"
ELASTIC_RESTARTS = 3
"""How often a node of an elastic job may fail where nobody says."""
WORKER_RESTARTS = 100
"""How often torchrun starts workers anew in an elastic job where nobody says: each node that leaves costs the others one."""
_MOST = 1_000_000
_SCHEME = "pvc://"
_CLAIM = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_WHOLE = re.compile(r"[0-9]{1,7}")
_NUMBERS = {names.MAX_RESTARTS: 0, names.RESTART_BACKOFF: 0, names.MIN_NODES: 1, names.MAX_NODES: 1, names.NODES: 1}
"""Annotation → its smallest value."""
_FIXED = (names.MAX_RESTARTS, names.RESTART_BACKOFF, names.MIN_NODES, names.MAX_NODES, names.RESTART_SCOPE, names.CHECKPOINT)


class Restarts(NamedTuple):
    limit: int
    scope: str = GROUP
    backoff: int = 0
    """Seconds."""


class Place(NamedTuple):
    """Where checkpoints are kept."""

    claim: str
    path: str = ""
    """Below the claim's root."""
    made: bool = False
    """The claim is the TrainJob's own."""
    size: str = "10Gi"


class Bounds(NamedTuple):
    least: int
    most: int
    asked: int | None = None

    @property
    def wanted(self) -> int:
        """How many nodes there should be when there is room for them."""
        return self.most if self.asked is None else max(self.least, min(self.asked, self.most))


def restarts(job: Obj) -> Restarts | None:
    """How the job is started anew; None where nothing is said, and the runtime alone decides. An elastic job's nodes are one by one."""
    limit, bounds = _number(job, names.MAX_RESTARTS), elastic(job)
    if limit is None and bounds is None and checkpoint(job) is None:
        return None
    scope = RANK if bounds else objects.annotations(job).get(names.RESTART_SCOPE, GROUP)
    if limit is None:
        limit = ELASTIC_RESTARTS if bounds else 0
    return Restarts(limit, scope if scope in (GROUP, RANK) else GROUP, _number(job, names.RESTART_BACKOFF) or 0)


def checkpoint(job: Obj) -> Place | None:
    """Where the job's checkpoints are kept. Elastic jobs have a place unless they say `false`."""
    said = objects.annotations(job).get(names.CHECKPOINT)
    if said is None:
        said = "true" if elastic(job) else "false"
    if said == "false" or _checkpoint_problem(said):
        return None
    if said == "true":
        size = objects.annotations(job).get(names.CHECKPOINT_SIZE)
        own = Place(objects.name(job) + names.CHECKPOINT_SUFFIX, made=True)
        return own if size is None or _size_problem(size) else own._replace(size=size)
    claim, _, path = said.removeprefix(_SCHEME).partition("/")
    return Place(claim, path.strip("/"))


def elastic(job: Obj) -> Bounds | None:
    """Between how many nodes the job may be; None for jobs that are not elastic."""
    least, most = _number(job, names.MIN_NODES), _number(job, names.MAX_NODES)
    if least is None and most is None:
        return None
    if most is None or (least or 1) > most:
        return None
    return Bounds(least or 1, most, _number(job, names.NODES))


def problems(job: Obj) -> Iterator[Cause]:
    """What is wrong with the annotations of survival, each with what would be right."""
    said = objects.annotations(job)
    for name, smallest in _NUMBERS.items():
        if name in said and _number(job, name) is None:
            yield _wrong(name, said[name], f"must be a whole number, {smallest} or more")
    if said.get(names.RESTART_SCOPE, GROUP) not in (GROUP, RANK):
        yield _wrong(names.RESTART_SCOPE, said[names.RESTART_SCOPE], f"must be {GROUP} or {RANK}")
    for name, problem in ((names.CHECKPOINT, _checkpoint_problem), (names.CHECKPOINT_SIZE, _size_problem)):
        if name in said and (why := problem(said[name])):
            yield _wrong(name, said[name], why)
    yield from _elastic_problems(job)


def _elastic_problems(job: Obj) -> Iterator[Cause]:
    said = objects.annotations(job)
    least, most = _number(job, names.MIN_NODES), _number(job, names.MAX_NODES)
    if most is None and (names.MIN_NODES in said or names.NODES in said) and names.MAX_NODES not in said:
        yield required(_path(names.MAX_NODES), "an elastic job says how many nodes it may have at most")
    if least is not None and most is not None and least > most:
        yield _wrong(names.MIN_NODES, said[names.MIN_NODES], f"must not be more than {names.MAX_NODES}, which is {most}")
    if elastic(job) and said.get(names.RESTART_SCOPE) == GROUP:
        yield _wrong(
            names.RESTART_SCOPE, GROUP, f"must be {RANK} or left out for a job with {names.MAX_NODES}: its nodes come and go alone"
        )


def changed(job: Obj, old: Obj) -> Iterator[Cause]:
    """What must not change while pods run that were made by it; `nodes` may."""
    if objects.spec(job).get("suspend") or objects.spec(old).get("suspend"):
        return
    for name in _FIXED:
        now, before = objects.annotations(job).get(name), objects.annotations(old).get(name)
        if now != before:
            yield forbidden_field(_path(name), f"may only change while the TrainJob is suspended; it was {before or 'not there'}")


def _number(job: Obj, name: str) -> int | None:
    said = objects.annotations(job).get(name)
    if said is None or not _WHOLE.fullmatch(said) or not _NUMBERS[name] <= int(said) <= _MOST:
        return None
    return int(said)


def _checkpoint_problem(said: str) -> str:
    claim, _, path = said.removeprefix(_SCHEME).partition("/")
    if not _CLAIM.fullmatch(claim) or len(claim) > 253 or ("/" in said and not said.startswith(_SCHEME)):
        return "must be true, false, the name of a PersistentVolumeClaim, or pvc://claim/path"
    return "must not lead out of the claim: no .. in its path" if ".." in path.split("/") else ""


def _size_problem(said: str) -> str:
    try:
        return "" if quantity.parse(said) > 0 else "must be more than nothing"
    except ValueError:
        return "must be a quantity, such as 10Gi"


def _wrong(name: str, said: str, why: str) -> Cause:
    return invalid_value(_path(name), said, why)


def _path(name: str) -> str:
    return f"metadata.annotations[{name}]"
