"""The status server: what it answers to a pod that reports how far its TrainJob is.

`StatusServer.answer` is all of HTTP that it knows; who listens, with which certificate, is `main`'s business (`main.progress`). A client of
any cluster: tokens are judged by the API server that issued them (TokenReview), reports become the TrainJob's status by server-side apply.
Contract: Trainer 2.3 pkg/statusserver: paths, codes, messages, field manager.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.client.client import Client
from lightship.kinds.access.reviews import TOKEN_REVIEWS
from lightship.meta import errors, objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Key

from .api import TRAIN_JOBS, progress

log = logging.getLogger(__name__)

BURST = 10
PER_SECOND = 5.0
"""How many reports of one job are written at once, and how many go on being written; upstream has the same limits for all jobs together."""
_MOST_JOBS = 4096


class Answer(NamedTuple):
    """A response; its body is JSON."""

    code: int
    body: bytes


class _Job:
    """What is remembered of a job that reports."""

    __slots__ = ("allowed", "at", "latest", "turn")

    def __init__(self, at: float) -> None:
        self.allowed = float(BURST)
        self.at = at
        self.latest = 0
        """The number of the newest report."""
        self.turn = asyncio.Lock()
        """Reports are written one after the other, in the order in which they came."""


class StatusServer:
    """Answers reports. `client` must be allowed to create TokenReviews and to patch the status of TrainJobs."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._jobs: OrderedDict[Key, _Job] = OrderedDict()

    async def answer(self, method: str, path: str, authorization: str, body: bytes) -> Answer:
        """The response to one request; whatever goes wrong is one, too."""
        try:
            return await self._answer(method, path, authorization, body)
        except Exception:
            log.exception("a report was not taken path=%s", path)
            return refusal(500, "InternalError", "Internal error")

    async def _answer(self, method: str, path: str, authorization: str, body: bytes) -> Answer:
        if len(body) > progress.BODY_LIMIT:
            return refusal(413, "RequestEntityTooLarge", "Payload too large")
        meant = progress.split_path(path)
        if method != "POST" or meant is None:
            return refusal(404, "NotFound", "Not found")
        key = Key(*meant)
        if not await self._may_report(key, progress.bearer(authorization)):
            return refusal(403, "Forbidden", "Forbidden")
        try:
            update = progress.read(body)
        except ValueError:
            return refusal(422, "Invalid", "Invalid payload")
        if update.trainerStatus is not None:
            refused = await self._report(key, update.trainerStatus)
            if refused is not None:
                return refused
        return Answer(200, progress.write(update))

    async def _may_report(self, key: Key, token: str) -> bool:
        """Is it a token for this job's endpoint, of a ServiceAccount in the job's namespace?"""
        if not token:
            return False
        audience = progress.audience(*key)
        review = await self._client.create(TOKEN_REVIEWS, {"spec": {"token": token, "audiences": [audience]}})
        status = objects.status(review)
        words = str((status.get("user") or {}).get("username", "")).split(":")
        of_namespace = words[:2] == ["system", "serviceaccount"] and words[2:3] == [key.namespace]
        return bool(status.get("authenticated")) and of_namespace and audience in (status.get("audiences") or ())

    async def _report(self, key: Key, status: progress.TrainerStatus) -> Answer | None:
        """Write it when it is its turn; not at all when a newer one has come by then, which says all that there is to say."""
        job = self._jobs.setdefault(key, _Job(self._clock.monotonic()))
        self._jobs.move_to_end(key)
        if len(self._jobs) > _MOST_JOBS:
            self._jobs.popitem(last=False)
        job.latest += 1
        number = job.latest
        async with job.turn:
            if number != job.latest:
                return None
            await self._wait(job)
            return await self._write(key, status)

    async def _wait(self, job: _Job) -> None:
        """Until the job may write again."""
        now = self._clock.monotonic()
        job.allowed = min(float(BURST), job.allowed + (now - job.at) * PER_SECOND)
        job.at = now
        if job.allowed < 1.0:
            await self._clock.sleep((1.0 - job.allowed) / PER_SECOND)
        job.allowed -= 1.0  # below zero for as long as was waited

    async def _write(self, key: Key, status: progress.TrainerStatus) -> Answer | None:
        """Make it the TrainJob's status; the answer when that is refused."""
        try:
            await self._client.assert_fields(TRAIN_JOBS, progress.applied(*key, status), progress.FIELD_MANAGER, subresource="status")
        except StatusError as error:
            if errors.is_invalid(error) or error.code == 400:
                return refusal(422, "Invalid", error.message)
            if errors.is_not_found(error):
                return refusal(404, "NotFound", "Train job not found")
            raise
        return None


def refusal(code: int, reason: str, message: str) -> Answer:
    """A `metav1.Status` that says no."""
    said = {"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}
    return Answer(code, progress.write(said))
