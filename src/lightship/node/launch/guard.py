"""Host mode's last resort: outlives the node by a moment to end the process groups that it left behind.

Started once by `runtimes.process` in an isolated interpreter. It reads `+<group>` and `-<group>` lines from its standard input; when that
closes, by whatever death of the node, the groups still listed are killed.
"""

import os
import signal
import sys


def main() -> None:
    """Read until the end, then kill."""
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        if sign == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
