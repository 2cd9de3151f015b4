"""Data files of the package: plain JSON in a source tree, where a change of them can be read, packed by gzip in a wheel.

Called by whoever reads such a file; `tools/pack_data.py` packs them when a wheel is built. Refuses to know what is in them.
"""

import zlib
from pathlib import Path

_GZIP = 31
"""zlib's name for its largest window inside gzip's frame."""


def read(path: Path) -> bytes:
    """The bytes of `NAME.json`, from itself or from `NAME.json.gz` beside it. Raises `FileNotFoundError` where neither is."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return zlib.decompress(path.with_name(path.name + ".gz").read_bytes(), _GZIP)
