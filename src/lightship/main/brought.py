"""What a platform brings of its own: kinds, the rules of those, controllers, and what a fresh cluster has of them.

Called by `platform`, `virtual` and `up`. Every capability has its line here, and is left out where nobody wants its controllers.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.builtin import accounttokens
from lightship.builtin import api as builtin_api
from lightship.builtin import controllers as builtin
from lightship.builtin.certificates.authority import Authority
from lightship.builtin.jobset import admission as jobset_admission
from lightship.builtin.jobset import gates
from lightship.builtin.leaderworkerset import admission as leaderworkerset_admission
from lightship.client import Client
from lightship.client.http import HttpTransport
from lightship.control import Controller, Manager
from lightship.emulation import api as emulation_api
from lightship.emulation import controller as emulation
from lightship.meta.admission import Admission
from lightship.meta.resources import Resource
from lightship.node.inputs import provisioner
from lightship.train import admission as train_admission
from lightship.train import api as train_api
from lightship.train import bootstrap as train_bootstrap
from lightship.train import controller as train
from lightship.train import plugins

from . import identities, selection

KINDS = (
    (builtin_api.JOB_SETS, ("jobset", "trainjob")),
    *((resource, ("leaderworkerset",)) for resource in (builtin_api.LEADER_WORKER_SETS, builtin_api.DISAGGREGATED_SETS)),
    (builtin_api.COSCHEDULING_POD_GROUPS, ("trainjob",)),
    (emulation_api.STAGES, ("emulation",)),
    *((resource, ("trainjob",)) for resource in train_api.SERVED),
)
"""Kinds that are not Kubernetes' own, and the controllers that need them: without those, they are left to whoever defines them."""


def resources(chosen: Sequence[str]) -> tuple[Resource, ...]:
    """The kinds to serve, where these `selection.words` say which controllers run."""
    brought = (kind for kind, needed in KINDS if any(selection.selected(name, chosen) for name in needed))
    return (*kinds.BUILTIN, *brought)


def admissions(
    served: Collection[Resource], chosen: Sequence[str], client: Client, clock: Clock, switched_on: gates.Gates = gates.NONE
) -> Iterable[Admission]:
    """The rules of kinds that are not Kubernetes' own, where these `selection.words` say which controllers run."""
    if selection.selected("jobset", chosen):
        yield from jobset_admission.admission(client, switched_on)
    if train_api.TRAIN_JOBS in served:
        yield train_admission.admission(client, clock)
    if builtin_api.LEADER_WORKER_SETS in served:
        yield leaderworkerset_admission.admission()


def controllers(
    manager: Manager,
    served: tuple[Resource, ...],
    volumes: Path,
    ca_pem: str,
    authority: Callable[[], Authority],
    sign: accounttokens.Sign,
    switched_on: gates.Gates = gates.NONE,
    remove: Callable[[str], Awaitable[None]] | None = None,
) -> list[Controller]:
    """Every controller there is for the kinds that are served, the scheduler aside."""
    return [
        *builtin.controllers(manager, resources=served, ca_pem=ca_pem, authority=authority, sign=sign, gates=switched_on, remove=remove),
        provisioner.controller(manager, volumes),
        *emulation.controllers(manager),
        *capabilities(manager, served, ca_pem),
    ]


def capabilities(manager: Manager, served: Collection[Resource], ca_pem: str) -> list[Controller]:
    """The controllers of the capabilities whose kinds are served; `ca_pem` vouches for servers of theirs that pods ask."""
    return list(train.controllers(manager, plugins.reporting(ca_pem))) if train_api.TRAIN_JOBS in served else []


def names() -> list[str]:
    """What `--controllers` may name: all are built for it, as clients of nobody, and never run."""

    def nothing(*_: str) -> Any:
        raise RuntimeError("these controllers do not run")

    manager = Manager(Client(HttpTransport("http://127.0.0.1:0")))
    return [controller.name for controller in controllers(manager, resources((selection.ALL,)), Path(), "", nothing, nothing)]


async def bootstrap(admin: Client, served: Collection[Resource]) -> None:
    """What a fresh cluster has besides what the server itself makes, wherever it runs."""
    await admin.apply(kinds.STORAGE_CLASSES, provisioner.STORAGE_CLASS)
    await identities.bind(admin)
    if train_api.TRAIN_JOBS in served:
        await train_bootstrap.bootstrap(admin)
