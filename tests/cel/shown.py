"""How cel-go prints values, for comparisons with what it printed."""

from collections.abc import Mapping
from typing import Any

from lightship.cel import moments
from lightship.cel.types import Type
from lightship.cel.values import Duration, ListValue, Optional, Timestamp, UInt


def shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, UInt):
        return f"{int(value)}u"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, bytes):
        return 'b"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:03o}" for c in value) + '"'
    if isinstance(value, Timestamp):
        return f'timestamp("{moments.timestamp_text(Timestamp(value.nanos))}")'
    if isinstance(value, Duration):
        return f'duration("{moments.duration_text(value)}")'
    if isinstance(value, Optional):
        return f"optional.of({shown(value.value)})" if value.present else "optional.none()"
    if isinstance(value, list | ListValue):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{shown(key)}: {shown(one)}" for key, one in value.items())) + "}"
    return value.name if isinstance(value, Type) else repr(value)


def _double(value: float) -> str:
    if value != value:
        return 'double("NaN")'
    if value in (float("inf"), float("-inf")):
        return f'double("{"" if value > 0 else "-"}Infinity")'
    text = moments.plain(value)
    return text if "." in text else text + ".0"
