"""Lines that tell how far it is: for people who read a pod's log.

Called from all threads of `transfer`. A line every few seconds while something is going on, none otherwise.
"""

import threading
from collections.abc import Callable
from types import TracebackType

SECONDS = 5.0
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Progress:
    """Counts of objects and bytes; as a context, a thread that prints them. `monotonic` in seconds."""

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self.say = say
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
        self._since = monotonic()
        self._told = 0
        self.objects = self.done = self.known = self.fetched = self.there = self.shared = self.left_out = 0
        self.listed = False

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def add(self, **counts: int) -> None:
        """Raise counters by their names: `objects` found, of them `done`; bytes `known`, `fetched`, `there` before, `shared` by others."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def reset(self) -> None:
        """What was listed is listed anew; what was fetched has been."""
        with self._lock:
            self.objects = self.done = self.known = self.left_out = self.there = self.shared = 0
            self.listed = False

    def line(self) -> str:
        """How far it is."""
        least = "" if self.listed else "at least "
        had = self.fetched + self.there + self.shared
        return f"{self.done} of {least}{self.objects} files, {amount(had)} of {least}{amount(max(self.known, had))}, {self._rate()}"

    def summary(self) -> str:
        """What became of it."""
        parts = [f"{self.done} {'file' if self.done == 1 else 'files'}", f"{amount(self.fetched)} fetched"]
        parts += [f"{amount(self.shared)} from earlier downloads of this namespace"] if self.shared else []
        parts += [f"{amount(self.there)} were there already"] if self.there else []
        parts += [f"{self.left_out} left out by patterns"] if self.left_out else []
        return ", ".join(parts) + f", in {self._monotonic() - self._since:.1f} s"

    def _rate(self) -> str:
        elapsed = self._monotonic() - self._since
        return f"{amount(int(self.fetched / elapsed)) if elapsed > 0 else '0 B'}/s"

    def _tell(self) -> None:
        while not self._ended.wait(SECONDS):
            self.say(self.line())


def amount(bytes: int) -> str:
    """A number of bytes for people."""
    number, unit = float(bytes), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"
