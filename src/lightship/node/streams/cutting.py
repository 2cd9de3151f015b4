"""From the records of log files to the text that a client sees: times and tags off, parts joined.

`logs` feeds it with blocks. Records are cut by fixed columns, since our own writer makes them: 30 bytes of time, the stream, a tag, the
text. Where only whole lines are, as nearly always, one pass strips them all. What comes from memory (`runtimes.recent`) is text already.
Pure.
"""

import re

_STAMP, _TAG, _TEXT = 30, 38, 40
_HEAD = re.compile(rb"\n.{38}F ", re.DOTALL)
"""Before every record but the first of those that end a line."""


class Cutter:
    """Keeps half a record between blocks."""

    def __init__(self, *, since: bytes, timestamps: bool) -> None:
        """`since`: the earliest time to show, in the notation of the files; empty for all."""
        self._since = since
        self._kept = _STAMP + 1 if timestamps else 0
        self._rest = b""
        self._continued = False

    def feed(self, block: bytes) -> bytes:
        """What the client sees of the records that are whole by now."""
        data = self._rest + block if self._rest else block
        end = data.rfind(b"\n") + 1
        data, self._rest = data[:end], data[end:]
        if data and not (self._since or self._kept or data[_TAG : _TAG + 1] != b"F"):
            lines = _HEAD.split(data)
            if len(lines) == data.count(b"\n"):
                self._continued = False
                lines[0] = lines[0][_TEXT:]
                return b"\n".join(lines)
        return self._each(data) if data else b""

    def said(self, stamp: bytes, text: bytes) -> bytes:
        """What the client sees of text that was written at this time. Between whole records only."""
        if self._since and stamp < self._since:
            return b""
        if not self._kept:
            return text
        head = b"" if self._continued else stamp + b" "
        self._continued = not text.endswith(b"\n")
        lines = text.replace(b"\n", b"\n" + stamp + b" ")
        return head + (lines if self._continued else lines[: -len(stamp) - 1])

    def _each(self, piece: bytes) -> bytes:
        lines = piece[:-1].split(b"\n")
        if self._since:
            lines = [line for line in lines if line[:_STAMP] >= self._since]
        if not self._kept:
            if lines:
                self._continued = lines[-1][_TAG : _TAG + 1] != b"F"
            return b"".join([line[_TEXT:] + b"\n" if line[_TAG : _TAG + 1] == b"F" else line[_TEXT:] for line in lines])
        shown = []
        for line in lines:
            if not self._continued:
                shown.append(line[: self._kept])
            self._continued = line[_TAG : _TAG + 1] != b"F"
            shown.append(line[_TEXT:] if self._continued else line[_TEXT:] + b"\n")
        return b"".join(shown)
