"""CEL in Stages: `self` is the object, beside `Now()`, `UnixSecond(t)`, `SinceSecond(self)`, `Quantity("1Gi")`. Pure; programs are kept.

Fields are looked up as they come (`dyn`), where kwok knows the Go types of nodes and pods: a field that is not there is an error here, and
has its zero value there. `Rand()` is not known: delays have their jitter.
Contract: kwok 0.8.0, pkg/utils/cel.
"""

from functools import lru_cache
from typing import Any

from lightship import cel
from lightship.cel.functions import Library, Overload
from lightship.cel.library import KUBERNETES
from lightship.cel.library.quantity import QUANTITY, parse
from lightship.cel.types import DOUBLE, DYN, STRING, TIMESTAMP
from lightship.cel.values import Duration, Timestamp
from lightship.emulation import durations
from lightship.emulation.play import StageError
from lightship.meta import times
from lightship.meta.objects import Obj


class _Time:
    """The time of the evaluation that is under way: functions of CEL are given nothing but their arguments."""

    now = 0.0


def _since(obj: Any) -> float:
    return _Time.now - times.parse(obj["metadata"]["creationTimestamp"])


_KWOK = Library(
    "kwok",
    overloads=(
        Overload("Now", (), TIMESTAMP, lambda: Timestamp(int(_Time.now * 1e9)), id="now"),
        Overload("UnixSecond", (TIMESTAMP,), DOUBLE, lambda moment: moment.nanos / 1e9, id="unix_second"),
        Overload("UnixSecond", (TIMESTAMP,), DOUBLE, lambda moment: moment.nanos / 1e9, True, id="unix_second_of"),
        Overload("SinceSecond", (DYN,), DOUBLE, _since, id="since_second"),
        Overload("SinceSecond", (DYN,), DOUBLE, _since, True, id="since_second_of"),
        Overload("Quantity", (STRING,), QUANTITY, parse, id="quantity_of"),
    ),
)


@lru_cache(maxsize=512)
def compiled(text: str) -> "cel.Program":
    """Raises `StageError`."""
    try:
        return cel.compile(text, {"self": DYN}, libraries=(*KUBERNETES, _KWOK))
    except cel.CelError as error:
        raise StageError(f'the CEL expression "{text}" cannot be used: {error}') from error


def evaluate(program: "cel.Program", obj: Obj, now: float) -> Any:
    """Raises `StageError`."""
    _Time.now = now
    try:
        return program.evaluate({"self": obj})
    except cel.EvaluationError as error:
        raise StageError(f'"{program.text}" fails: {error}') from error


def seconds(value: Any) -> float:
    """A text, a duration, or a number of billionths of a second. Raises `StageError`."""
    found: float | None = None
    if isinstance(value, str):
        found = durations.parse(value)
    elif isinstance(value, Duration):
        found = float(value.nanos) / 1e9
    elif isinstance(value, int | float):
        found = float(value) / 1e9
    if found is None:
        raise StageError(f"{value!r} is no duration")
    return found
