"""What can go wrong, as exit codes: one class for each thing that somebody else must do about it.

    InitializerError ── MisuseError       the settings make no sense                       64
                     ├─ MissingError      there is nothing at that place                   66
                     ├─ RefusedError      there is, but not with these credentials         77
                     ├─ UnreachableError  no answer; the only one that trying again helps  69
                     ├─ DamagedError      the bytes are not those that were promised       65
                     └─ NoRoomError       the workspace is full, or not writable           73

The texts are whole sentences for people: what was asked, what was found, what to do. `program` prints them as the only line of an error.
The numbers are those of sysexits, so that a podFailurePolicy can tell what no retry helps with.
"""

import errno
import os


class InitializerError(Exception):
    """Ends the program with `code`."""

    code = 1


class MisuseError(InitializerError):
    code = os.EX_USAGE


class MissingError(InitializerError):
    code = os.EX_NOINPUT


class RefusedError(InitializerError):
    code = os.EX_NOPERM


class UnreachableError(InitializerError):
    code = os.EX_UNAVAILABLE


class DamagedError(InitializerError):
    code = os.EX_DATAERR


class NoRoomError(InitializerError):
    code = os.EX_CANTCREAT


class ChangedError(Exception):
    """The object is not any more the one that was listed."""


class NoRangesError(Exception):
    """The server gives whole objects only."""


def of_disk(error: OSError, place: str) -> InitializerError:
    """What an error of the workspace's disk means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoomError(f"no space left at {place}: give the volume of the workspace more room")
    return NoRoomError(f"cannot write to {place}: {error.strerror or error}")
