"""OpenAPI schemas of the Trainer kinds, put together from package data.

The published schemas repeat PodSpec and JobSetSpec; the data holds each repeated part once (`tools/make_trainer_schema.py`) and
`load` restores the published schema, with equal parts being one object in memory. Called once, when `train.api` is imported.
"""

from pathlib import Path
from typing import Any

from lightship.meta import codec, packed
from lightship.meta.objects import Obj

_DATA = Path(__file__).parent.parent / "data"


def load(name: str) -> Obj:
    """The schema kept in `train/data/<name>`; shared with everybody, never mutate it."""
    data = codec.decode(packed.read(_DATA / name))
    parts: list[Any] = []
    for part in data["shared"]:
        parts.append(_restore(part, parts))  # a part refers to earlier parts only
    restored: Obj = _restore(data["schema"], parts)
    return restored


def _restore(node: Any, parts: list[Any]) -> Any:
    if not isinstance(node, dict):
        return node
    if "$shared" in node:
        return parts[node["$shared"]]
    return {k: _restore(v, parts) if isinstance(v, dict) else v for k, v in node.items()}
