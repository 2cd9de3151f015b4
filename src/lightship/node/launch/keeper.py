"""Host mode: the parent of a program that was forked from a template, since the node that waits for it cannot be.

A fork of the template becomes this by exec, so that it holds none of its memory: `python -I -S keeper.py <process> <descriptor>`. It tells
the node how the program has ended, and leaves the dead one where it is, so that its number is nobody else's, until the node closes.
Stands alone.
"""

import os
import socket
import sys


def main(pid: int, descriptor: int) -> None:
    """Wait for `pid`, a child, and for the other end of the socket `descriptor` to close."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 1 << 12)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with socket.socket(fileno=descriptor) as node:
        try:
            code = ended.si_status if ended is not None and ended.si_code == os.CLD_EXITED else -(ended.si_status if ended else 9)
            node.send(b'{"code":%d}' % code)
            node.recv(1)
        except OSError:
            pass  # the node has ended
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
