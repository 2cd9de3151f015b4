"""The program: from the environment to files in the workspace, or to one line that says why not.

`dataset` and `model` call `main`. The last line of a failure is also the container's termination message, which the pod's status shows.
"""

import os
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from lightship.aio.clock import Clock, SystemClock

from . import archives, settings, sources
from .downloads import Downloads
from .items import Source
from .problems import ChangedError, InitializerError, UnreachableError, of_disk
from .progress import Progress, amount
from .settings import Settings, safe
from .sources import git
from .transfer import Transfer, Wanted
from .workspace import Workspace

_ROUNDS = 3
"""How often a source may change while it is being read."""
_MESSAGE = "/dev/termination-log"


def main(kind: str, environ: Mapping[str, str]) -> int:
    """Bring the dataset or model; the exit code (see `problems`)."""

    def say(line: str) -> None:
        print(f"{kind}: {line}", flush=True)

    try:
        wanted = settings.read(kind, environ)
        if wanted is None:
            say(f"STORAGE_URI is empty: this job asks for no {kind}")
        else:
            run(wanted, say, threading.Event().wait, SystemClock())
    except InitializerError as problem:
        return _fail(problem.code, f"{kind} initializer: {problem}", environ)
    except Exception as error:
        traceback.print_exc()
        return _fail(1, f"{kind} initializer: {type(error).__name__}: {error}", environ)
    return 0


def run(wanted: Settings, say: Callable[[str], None], pause: Callable[[float], object], clock: Clock) -> None:
    """Raises `InitializerError`."""
    say(f"fetching {safe(wanted.uri)} to {wanted.target}")
    downloads = _downloads(wanted, say)
    with Progress(say, clock.monotonic) as progress:
        if wanted.scheme in sources.GIT:
            git.check_out(wanted, downloads, progress, pause)
        else:
            _transfer(wanted, downloads, progress, pause)
    if downloads is not None:
        _trim(downloads, say, clock.now())
    say(progress.summary())


def _transfer(wanted: Settings, downloads: Downloads | None, progress: Progress, pause: Callable[[float], object]) -> None:
    source = sources.open(wanted)
    try:
        for _ in range(_ROUNDS):
            try:
                _fetch(source, wanted, downloads, progress, pause)
                return
            except ChangedError as changed:
                progress.say(f"{changed} has changed since it was listed, looking again")
                progress.reset()
        raise UnreachableError(f"{safe(wanted.uri)} changes faster than it can be fetched")
    except OSError as error:
        raise of_disk(error, wanted.target) from error
    finally:
        source.close()


def _fetch(source: Source, wanted: Settings, downloads: Downloads | None, progress: Progress, pause: Callable[[float], object]) -> None:
    target, state = Path(wanted.target), Path(wanted.state)
    archived = state / "archives"
    workspace = Workspace(archived if wanted.unpack else target, state)
    Transfer(source, workspace, downloads, progress, pause).run(Wanted(wanted.allow, wanted.ignore), wanted.workers)
    if wanted.unpack:
        progress.say(f"unpacked {archives.settle(archived, target)} archives")
        shutil.rmtree(archived)


def _downloads(wanted: Settings, say: Callable[[str], None]) -> Downloads | None:
    if not os.path.isdir(wanted.downloads) or wanted.scheme in ("file", "pvc"):
        return None
    try:
        return Downloads(Path(wanted.downloads), wanted.downloads_limit)
    except OSError as error:
        say(f"nothing is shared with other jobs: {wanted.downloads}: {error.strerror}")
        return None


def _trim(downloads: Downloads, say: Callable[[str], None], now: float) -> None:
    try:
        gone = downloads.trim(now)
    except OSError as error:
        say(f"earlier downloads could not be tidied: {error.strerror}")
        return
    if gone:
        say(f"removed {amount(gone)} of earlier downloads that were not used for longest")


def _fail(code: int, line: str, environ: Mapping[str, str]) -> int:
    print(line, file=sys.stderr, flush=True)
    path = environ.get("LIGHTSHIP_TERMINATION_LOG") or _MESSAGE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    except OSError:
        return code  # outside of pods there is none
    with os.fdopen(descriptor, "w") as message:
        message.write(line[:4000])
    return code
