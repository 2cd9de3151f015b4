"""What signals do to a program when it begins: what is usual, whatever whoever started us ignores.

Called between fork and exec, in sandboxes and in host mode. A shell has its background jobs ignore SIGINT and SIGQUIT, `nohup` SIGHUP; exec
keeps what is ignored, so a pod would have it too. Standard library only.
"""

import signal

NUMBERS = [number for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP)]
"""Without the real-time signals, two of which belong to the C library."""


_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Interpreters ignore them; `subprocess` gives them back by itself."""


def ignored() -> bool:
    """Is there anything that a program would ignore by inheritance?"""
    return any(signal.getsignal(number) is signal.SIG_IGN for number in NUMBERS if number not in _RESTORED)


def forget() -> None:
    """Handlers and what is ignored: from now on everything does what it usually does."""
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
