"""Who we say we are: bearer tokens, given or in a file that somebody else keeps fresh. Called by `client.http`.

Contract: client-go transport (token files are read again every minute, since projected ServiceAccount tokens are rotated in place).
"""

import math
from pathlib import Path
from typing import Protocol

from lightship.aio.clock import Clock

FRESH_SECONDS = 60.0


class Credentials(Protocol):
    """Where the Authorization header comes from."""

    def header(self) -> str:
        """The header's value, empty for none."""
        ...

    def refused(self) -> bool:
        """The server answered 401: forget what was remembered. Returns whether asking again makes sense."""
        ...


class Token:
    """A bearer token that does not change; the empty one sends no header."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}" if token else ""

    def header(self) -> str:
        return self._header

    def refused(self) -> bool:
        return False


class TokenFile:
    """A bearer token in a file, read again every minute and when the server refuses it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._header = ""
        self._read_at = -math.inf

    def header(self) -> str:
        """Raises `OSError` when the file was never readable; later the last token read goes on being used."""
        now = self._clock.monotonic()
        if not self._header or now - self._read_at > FRESH_SECONDS:
            try:
                self._header = f"Bearer {self._path.read_text().strip()}"
            except OSError:
                if not self._header:
                    raise
            self._read_at = now
        return self._header

    def refused(self) -> bool:
        before = self._header
        self._read_at = -math.inf
        return self.header() != before
