"""A terminal with a name inside the pod: made from the container's own devpts by the process that is about to use it.

`container` calls it after it has entered the container's files; the other end goes to the node over the status socket.
"""

import array
import fcntl
import os
import termios

_SET_LOCK, _GET_NUMBER = 0x40045431, 0x80045430  # TIOCSPTLCK, TIOCGPTN


def make(uid: int) -> tuple[int, int]:
    """(the node's end, the program's end); the terminal belongs to `uid`, so that the program may open it by its name."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _SET_LOCK, array.array("i", [0]))
    number = array.array("i", [0])
    fcntl.ioctl(master, _GET_NUMBER, number)
    slave = os.open(f"/dev/pts/{number[0]}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        os.fchown(slave, uid, -1)
    except OSError:
        pass  # an id that is not mapped here: that of the only one there is
    return master, slave


def become_own(fd: int) -> None:
    """The terminal of this process's session, which it leads."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
