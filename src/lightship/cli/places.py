"""Where the platform of a name keeps its data: one rule for every command, whether the platform runs or not.

Called by `main.instance`, by `cluster` and by commands that work on a platform's files. Touches nothing on disk.
"""

import os
from pathlib import Path

from .errors import CliError


def data_directory(name: str, data_dir: str | None = None) -> Path:
    """`data_dir` where it is given, else `name` below LIGHTSHIP_HOME or ~/.lightship. Raises `CliError` for a name that would leave it."""
    if not name or "/" in name or name.startswith("."):
        raise CliError(f'"{name}" is no name for a platform', hint="use letters, digits and dashes, like `--name team-a`", code=2)
    if data_dir:
        return Path(data_dir).expanduser().absolute()
    return Path(os.environ.get("LIGHTSHIP_HOME") or Path.home() / ".lightship") / name
