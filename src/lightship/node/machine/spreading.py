"""Where a file system puts the directories of pods: apart from each other.

The agent asks for it once, of the directory that all of them are in. ext4 keeps a directory near its parent and does not use the numbers of
files that were removed in the last minute, which it tries one by one: where hundreds of pods come and go, each new file would be looked
for among the thousands of files of those before it, and cost a quarter of a pod's start. Directories of a top level go to parts of the
disk of their own.
"""

import contextlib
import fcntl
import os
import struct
from pathlib import Path

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
_TOP = 0x20000  # FS_TOPDIR_FL


def spread(directory: Path) -> None:
    """Directories in this one are to be apart; nothing happens where the file system knows no such thing."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            (flags,) = struct.unpack("i", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(4)))
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags | _TOP))
        finally:
            os.close(descriptor)
