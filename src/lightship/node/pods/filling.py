"""Keeps the volumes of one pod filled with what its spec refers to.

Called by `worker`: `prepare` before anything starts, `refresh` at the end of each round. What a volume contains is decided in `inputs`.
"""

import asyncio

from lightship.meta import objects
from lightship.node.inputs import fetch, sources, volumes
from lightship.node.inputs.content import Inputs
from lightship.node.inputs.volumes import VolumeError

from . import sync
from .state import Problem, again
from .subject import Subject

PATIENCE = 3
"""How often a claim that is being made or bound is waited for in silence: the scheduler does not wait for it."""


class Filling:
    """The volumes of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._tokens = fetch.Tokens(subject.node.client, subject.node.clock)
        self.stale = False
        """Something that a volume shows has changed."""
        self._failed: Problem | None = None
        """Why what has changed could not be written."""

    async def prepare(self) -> None:
        try:
            await self._write()
            await self._give_claims()
        except VolumeError as error:
            self._subject.state.volumes_problem = again(self._subject.state.volumes_problem, "FailedMount", str(error), self._subject.now())
            if not self._subject.claims.pending or self._subject.state.volumes_problem.failures > PATIENCE:
                self._tell(error)
            return
        self._subject.state.volumes_ready, self._subject.state.volumes_problem = True, None

    async def _give_claims(self) -> None:
        claims, owner = self._subject.claims, volumes.owner(self._subject.pod, self._subject.node.policy)
        if claims.paths and owner.gid is not None:
            try:
                await asyncio.to_thread(volumes.give_claims, self._subject.pod, owner, claims)
            except OSError as error:
                raise VolumeError(f"applyFSGroup failed: {error.strerror}") from error

    def _tell(self, error: VolumeError) -> None:
        for problem in error.problems:
            self._subject.event("Warning", "FailedMount", problem)

    async def _write(self) -> None:
        self.stale = False
        client, namespace = self._subject.node.client, objects.namespace(self._subject.pod)
        if not self._subject.state.volumes_ready:  # later on they are mounted, whatever becomes of the claims
            node = self._subject.node
            allowed = node.policy.allow_host_path
            self._subject.claims = await fetch.claims(client, self._subject.pod, node.neighbours, allow_host_path=allowed)
        inputs = Inputs(
            pod=self._subject.pod,
            found=await fetch.references(client, namespace, sources.of_volumes(self._subject.pod)),
            tokens=await self._tokens.of(self._subject.pod),
            refused=self._tokens.refused,
            host_ip=self._subject.node.host_ip,
            pod_ip=self._subject.state.ip,
            allocatable=self._subject.node.allocatable,
            owner=volumes.owner(self._subject.pod, self._subject.node.policy),
        )
        volumes.prepare(self._subject.home.volumes, inputs, self._subject.node.policy, self._subject.claims)

    def clock_was_set(self) -> None:
        """Tokens are good from one time of the clock to another, and failures are tried again at one."""
        self._tokens.forget()
        self._failed, self.stale = None, True

    async def refresh(self) -> float | None:
        """Bring API-backed volumes up to date; returns when to look again: a token must be renewed, or something failed."""
        if not self._subject.state.volumes_ready or sync.must_stop(self._subject.pod, self._subject.state):
            return None
        due = self._failed.retry_at if self._failed else self._tokens.renew_at
        if self.stale or (due is not None and due <= self._subject.now()):
            try:
                await self._write()
            except VolumeError as error:
                # What is mounted stays as it is, for as long as need be.
                self._failed = again(self._failed, "FailedMount", str(error), self._subject.now())
                self._tell(error)
                return self._failed.retry_at
            self._failed = None
            return self._tokens.renew_at
        return due
