"""Knowing that the end is near: pods that are suspended, moved or too many get SIGTERM and half a minute.

`Leaving` only remembers the signal, so that the step under way is finished and saved before the program ends. Standard library only.
"""

import signal
import threading
from types import FrameType

STATUS = 75
"""With which a process ends that is to be started again (EX_TEMPFAIL)."""


class Leaving:
    """Has this process been asked to end? Listens from when it is made, in the main thread; elsewhere it never hears anything."""

    def __init__(self) -> None:
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
