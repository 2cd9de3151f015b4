"""Archives, when they are to be unpacked: LIGHTSHIP_UNPACK.

`program` has fetched them to a place of their own. Nothing of an archive gets out of the target directory, whatever names it contains.
"""

import shutil
import tarfile
import zipfile
from pathlib import Path

from .problems import DamagedError


def settle(fetched: Path, target: Path) -> int:
    """Move everything below `fetched` to the same place below `target`, archives as what is in them; how many these were."""
    count = 0
    for path in sorted(p for p in fetched.rglob("*") if p.is_file()):
        place = target / path.parent.relative_to(fetched)
        place.mkdir(parents=True, exist_ok=True)
        try:
            if tarfile.is_tarfile(path):
                with tarfile.open(path) as archive:
                    archive.extractall(place, filter="data")
                count += 1
            elif zipfile.is_zipfile(path) and path.suffix == ".zip":
                with zipfile.ZipFile(path) as zipped:
                    zipped.extractall(place)
                count += 1
            else:
                shutil.copyfile(path, place / path.name)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise DamagedError(f"{path.name} cannot be unpacked: {error}") from error
    return count
