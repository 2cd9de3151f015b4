"""What the images of Kubernetes' own tests stand for: the programs that `oracle/build` makes, as a table for a platform.

    python -m oracle.images DIRECTORY        writes DIRECTORY/images.json, of a platform's data directory

Images that need nothing but tools of the machine are known to Lightship itself. Entries whose programs are not built are left out.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from . import programs

TABLE = Path(__file__).with_name("images.json")


def entries() -> list[dict[str, Any]]:
    """The table with the places of this checkout; of those entries only whose files are there."""
    found = programs.folder()
    text = TABLE.read_text().replace("{bin}", str(found)).replace("{files}", str(found.parent / "images"))
    text = text.replace("{oracle}", str(TABLE.parent))
    return [entry for entry in json.loads(text) if all(os.path.exists(path) for path in entry["files"].values())]


def write(directory: Path) -> list[str]:
    """Give the platform of that data directory the table, in place of its own; the patterns that it now knows."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "images.json").write_text(json.dumps(entries(), indent=2) + "\n")
    return [entry["pattern"] for entry in entries()]


if __name__ == "__main__":
    print("\n".join(write(Path(sys.argv[1]))))
