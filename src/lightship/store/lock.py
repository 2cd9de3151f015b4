"""One process per store: an exclusive lock on a file beside the data, which names its holder.

The operating system releases the lock when the holder dies, however it dies, so there is nothing to clean up after a crash; the file
itself stays. Called by journals that keep files.
"""

import fcntl
import os
from pathlib import Path

from .errors import StoreError


class FileLock:
    """Held from construction to `release`."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` at once when another process (or another store in this one) holds the lock."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            message = f"{path.parent} is already in use by pid {holder}: stop that process, or choose another data directory"
            raise StoreError(message) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._fd)
