"""How far a training loop is, told to the platform in one line: `for batch in progress(loader): ...`, or `report(step, total, loss=loss)`.

Training code calls it in a pod, beside torch, JAX or nothing at all: standard library only. It never raises into the loop and never makes
it wait: reports are sent by a thread, the newest every few seconds, by rank 0 alone. Outside of a TrainJob it does nothing.
Contract: Trainer 2.3 status server (KEP-2779): variables `KUBEFLOW_TRAINER_SERVER_*`, body `trainerStatus`.
"""

import atexit
import json
import os
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")
EVERY_SECONDS = 5.0
"""Between two reports; the first and the last are sent at once."""
_TIMEOUT_SECONDS = 5.0
_MOST_METRICS, _LONGEST = 256, 64
_URL, _CA, _TOKEN = (f"KUBEFLOW_TRAINER_SERVER_{what}" for what in ("URL", "CA_CERT", "TOKEN"))
_RANKS = (
    *("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "JAX_PROCESS_ID", "DMLC_TASK_ID"),
    *("PET_NODE_RANK", "JOB_COMPLETION_INDEX"),
)
"""Variables that say which process of a job this is; the first that is set counts."""


def progress(items: Iterable[T], total: int | None = None) -> Iterator[T]:
    """Yield the items of a loop and report how many of them are done. `total`: how many there are, where `len(items)` cannot say.

    Loops may be nested: the epochs of `for epoch in progress(range(3)): for batch in progress(loader): ...` count a third each.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    loop = _Loop(total)
    _loops.append(loop)
    try:
        report()
        for item in items:
            yield item
            loop.done += 1
            report()
    finally:
        if loop in _loops:  # and with it the inner ones that were left early
            del _loops[_loops.index(loop) :]


def report(step: float | None = None, total: float | None = None, **metrics: Any) -> None:
    """Report that `step` of `total` steps are done, and numbers such as `loss=0.3`; without steps, how far the loops of `progress` are.

    Metrics stay until they are reported anew. What is neither a number nor a short text is left out.
    """
    try:
        named = {"current_step": step, "total_steps": total}
        given = {name: value for name, value in named.items() if value is not None} | metrics
        _reporter.tell(step / total if step is not None and total else _fraction(), given)
    except Exception:
        return  # a report is never worth a training run


class _Loop:
    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0


_loops: list[_Loop] = []
"""Those that are under way, from the outermost to the innermost."""


def _fraction() -> float | None:
    """How much of the outermost loop is done, counting what inner loops have done of its present step; None where nobody knows."""
    fraction: float | None = None
    for loop in reversed(_loops):
        # Of a loop without a total nobody knows how long it takes, whatever is inside.
        fraction = min(1.0, (loop.done + (fraction or 0.0)) / loop.total) if loop.total else None
    return fraction


class Reporter:
    """Sends what it was told last, in a thread of its own. `environ` says where to, `clock` measures seconds, `send` is the request."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        send: Callable[[Mapping[str, str], bytes], None] | None = None,
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._send = send or post
        self._process = os.getpid()
        self._metrics: dict[str, str] = {}
        self._begun: tuple[float, float] | None = None
        self._fraction: float | None = None
        self._sent_at = float("-inf")
        self._untold = False
        self._waiting: dict[str, Any] | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def tell(self, fraction: float | None, metrics: Mapping[str, Any]) -> None:
        """So much of the work is done, between 0 and 1. Sent when it is time, or all is done."""
        if not self._is_reporter():
            return
        now = self._clock()
        due = now - self._sent_at >= EVERY_SECONDS or (fraction is not None and fraction >= 1.0)
        # What is no plain number is asked for its value only now and then: on an accelerator that waits for all that was begun there.
        self._remember(metrics if due else {name: value for name, value in metrics.items() if isinstance(value, (int, float, str))})
        if self._begun is None or (fraction or 0.0) < (self._fraction or 0.0):
            self._begun = (now, fraction or 0.0)
        self._fraction = fraction
        self._untold = True
        if due:
            self._note(now)

    def close(self) -> None:
        """Send what has not been sent, and wait for it."""
        if self._thread is None or self._process != os.getpid():
            return
        if self._untold:
            self._note(self._clock())
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_TIMEOUT_SECONDS)

    def _is_reporter(self) -> bool:
        if not self._environ.get(_URL) or self._process != os.getpid():
            return False  # a worker that loads data is a child of the process that trains
        return next((self._environ[name] for name in _RANKS if self._environ.get(name)), "0") == "0"

    def _remember(self, metrics: Mapping[str, Any]) -> None:
        for name, value in metrics.items():
            if (text := _text(value)) and (name in self._metrics or len(self._metrics) < _MOST_METRICS):
                self._metrics[name[:_LONGEST]] = text

    def _note(self, now: float) -> None:
        status: dict[str, Any] = {"lastUpdatedTime": datetime.now(UTC).isoformat()}
        if self._fraction is not None:
            status["progressPercentage"] = max(0, min(100, int(self._fraction * 100)))
            if (left := self._seconds_left(now, self._fraction)) is not None:
                status["estimatedRemainingSeconds"] = left
        if self._metrics:
            status["metrics"] = [{"name": name, "value": value} for name, value in self._metrics.items()]
        self._sent_at, self._untold = now, False
        with self._wake:
            self._waiting = status
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lightship progress", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._wake.notify()

    def _seconds_left(self, now: float, fraction: float) -> int | None:
        """By how fast it went since the first report: a run that is resumed does not begin at nothing."""
        begun, first = self._begun or (now, fraction)
        if fraction >= 1.0:
            return 0
        return int((now - begun) / (fraction - first) * (1.0 - fraction) + 0.5) if fraction > first else None

    def _work(self) -> None:
        while True:
            with self._wake:
                while self._waiting is None and not self._closing:
                    self._wake.wait()
                status, self._waiting = self._waiting, None
            if status is None:
                return
            try:
                self._send(self._environ, json.dumps({"trainerStatus": status}).encode())
            except Exception:
                continue  # the next report says more


def post(environ: Mapping[str, str], body: bytes) -> None:
    """Send one report. Raises whatever goes wrong."""
    with open(environ[_TOKEN], encoding="utf-8") as file:  # read anew each time: tokens are renewed
        token = file.read().strip()
    request = urllib.request.Request(environ[_URL], body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    context = ssl.create_default_context(cafile=environ.get(_CA))
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context):
        pass


def _text(value: Any) -> str:
    """A metric as it is sent; empty for what is none."""
    if isinstance(value, str):
        return value[:_LONGEST]
    try:
        return str(value)[:_LONGEST] if isinstance(value, int) else f"{float(value):.6g}"
    except Exception:
        return ""


_reporter = Reporter()
