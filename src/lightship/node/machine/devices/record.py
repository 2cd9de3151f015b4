"""Small facts written down where a kill -9 does not take them: whole or not at all. Used by `ledger` and `prepared`."""

import json
import os
from pathlib import Path

from lightship.meta.objects import Obj


def write(path: Path, facts: Obj) -> None:
    """Replace what was there, on disk before this returns. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "w", opener=_private) as file:
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read(path: Path) -> Obj:
    """What was written; nothing where there is nothing, or nothing that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
