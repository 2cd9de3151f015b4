"""Gives the user of a container a name: a line in the pod's /etc/passwd and /etc/group where the image has none for it.

Called by `rootfs` in the container's own tree, before volumes are put in place. Contract: what CRI-O adds for ids that an image does
not know.
"""

import os
import stat

from . import linux

_DRAFTS = "/dev/.names."
_LONGEST = 1 << 18
"""Bytes of an account file that is looked at."""


def ensure(uid: int, gid: int, home: str) -> list[str]:
    """Make both ids known. A tree without such files is left as it is.

    Returns what the caller removes when the tree is complete: a file that is gone already could not be shown at a second place."""
    drafts = []
    if uid != 0:
        drafts += _ensure("/etc/passwd", uid, f"{uid}:x:{uid}:{gid}:{uid} user:{home}:/sbin/nologin\n")
    if gid != 0:
        drafts += _ensure("/etc/group", gid, f"{gid}:x:{gid}:\n")
    return drafts


def home_of(uid: int) -> str:
    """The home directory that the tree has for a user; `/` for one it does not know."""
    lines = (line.split(":") for line in read("/etc/passwd").splitlines())
    return next((words[5] for words in lines if len(words) > 5 and words[2] == str(uid)), "") or "/"


def read(path: str) -> str:
    """The text of an account file; empty when there is none, or what is there is no such file.

    The container may have put anything there: a pipe would hold up its start for ever, a device or a huge file would fill the memory."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LONGEST:
                return ""
            text = file.read(_LONGEST + 1) or b""  # it may grow while it is read
    except OSError:
        return ""
    return text.decode("utf-8", "surrogateescape") if len(text) <= _LONGEST else ""


def _ensure(path: str, number: int, line: str) -> list[str]:
    text = read(path)
    if not text or any(words[2:3] == [str(number)] for words in (known.split(":") for known in text.splitlines())):
        return []
    whole = text if text.endswith("\n") else text + "\n"
    try:
        with open(path, "ab") as file:
            file.write(os.fsencode(line if whole == text else "\n" + line))
        return []
    except OSError:  # read-only: put another one in its place
        draft = _DRAFTS + os.path.basename(path)
        with open(draft, "wb") as file:
            file.write((whole + line).encode("utf-8", "surrogateescape"))
        linux.bind(draft, path)
        return [draft]


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
