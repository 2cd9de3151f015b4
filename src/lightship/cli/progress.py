"""Live progress on one line of a terminal; plain lines, one per step, where there is no terminal.

Used by everything that takes longer than a blink: set-up, environments, the demo, `down`. The clock is injected. Knows nothing of what it
reports: callers give a title, a fraction if they know one, and a note.
"""

import shutil
import sys
from types import TracebackType
from typing import TextIO

from lightship.aio.clock import Clock, SystemClock

BAR = 24


def bar(fraction: float, width: int = BAR) -> str:
    """`████████░░░░` for a fraction of 0 to 1."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "█" * full + "░" * (width - full)


def seconds(value: float) -> str:
    """A duration for people: `840 ms`, `2.4 s`, `3 min 12 s`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


class Step:
    """One step of a longer job: shows its title at once, updates in place, ends with a tick and the time it took.

    >>> with Step("start the platform") as step:
    ...     step.update(0.5, "API server ready")
    """

    def __init__(self, title: str, *, stream: TextIO | None = None, clock: Clock | None = None) -> None:
        self.title = title
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock or SystemClock()
        self._started = 0.0
        self._last_note = ""
        self.took = 0.0
        """Seconds from start to end, once ended."""

    def __enter__(self) -> "Step":
        self._started = self._clock.monotonic()
        if self._live:
            self._draw("…", "")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.took = self._clock.monotonic() - self._started
        mark = "✓" if error is None else "✗"
        text = f"{mark} {self.title}  {seconds(self.took)}"
        self._stream.write(("\r\x1b[2K" if self._live else "") + text + "\n")
        self._stream.flush()

    def update(self, fraction: float | None = None, note: str = "") -> None:
        """Show how far it is; without a terminal a line is printed only when the note changes."""
        if self._live:
            self._draw(bar(fraction) + f" {fraction:4.0%}" if fraction is not None else "…", note)
        elif note and note != self._last_note:
            self._stream.write(f"  {note}\n")
            self._stream.flush()
        self._last_note = note

    def line(self, text: str) -> None:
        """Print a line of the job's own output above the live line."""
        self._stream.write(("\r\x1b[2K" if self._live else "") + text + "\n")
        self._stream.flush()

    def _draw(self, gauge: str, note: str) -> None:
        width = shutil.get_terminal_size().columns
        self._stream.write("\r\x1b[2K" + f"  {self.title}  {gauge}  {note}".rstrip()[: width - 1])
        self._stream.flush()
