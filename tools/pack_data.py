"""Build hook of the wheel: package data goes in packed, a tenth as large (`lightship.meta.packed` reads it).

Called by hatchling, for wheels alone; an editable install reads the files of the source tree.
"""

import gzip
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackData(BuildHookInterface[Any]):
    """Puts `NAME.json.gz` where the wheel leaves `NAME.json` out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._packed = tempfile.TemporaryDirectory(prefix="lightship-data-")
        source = Path(self.root) / "src"
        for number, path in enumerate(sorted(source.rglob("data/*.json"))):
            packed = Path(self._packed.name) / f"{number}.json.gz"
            packed.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
            build_data["force_include"][str(packed)] = f"{path.relative_to(source)}.gz"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._packed.cleanup()
