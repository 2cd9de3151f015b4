"""Our kinds on a Kubernetes cluster that is not ours: their definitions, and what each capability wants to find there.

`definitions` is pure; `install` applies them and may be repeated, which changes nothing where nothing differs. Definitions that somebody
else brought to the cluster (JobSet's or Trainer's own releases) are left as they are. Rules that look at other
objects (`train.admission`) need webhooks, which this does not install: such a cluster stores what ours would refuse, and the controllers
say in status and events what is wrong with it. LeaderWorkerSets need one for their pods: there, upstream's release is what to install.
Contract: apiextensions.k8s.io/v1 CustomResourceDefinition, condition Established.
"""

from collections.abc import Iterable

from lightship.aio.clock import Clock
from lightship.apiserver.definitions.objects import definition_name, definition_of
from lightship.builtin.api import DISAGGREGATED_SETS, JOB_SETS, LEADER_WORKER_SETS
from lightship.cli.errors import CliError
from lightship.client import Client
from lightship.kinds import CUSTOM_RESOURCE_DEFINITIONS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import ListOptions
from lightship.train import api as train_api
from lightship.train import bootstrap as train_bootstrap

from . import residence

RESOURCES: tuple[Resource, ...] = (JOB_SETS, LEADER_WORKER_SETS, DISAGGREGATED_SETS, *train_api.SERVED)
"""The kinds that a cluster does not have by itself; a capability adds its own here."""
MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "lightship"
"""Label of the definitions that we may change."""
PATIENCE = 30.0
"""Seconds that a server may take to serve a definition it has accepted."""
_POLL = 0.05


def definitions(resources: Iterable[Resource] = RESOURCES) -> list[Obj]:
    """The CustomResourceDefinitions of custom kinds, fit for any Kubernetes API server; versions of one kind make one definition."""
    grouped: dict[str, list[Resource]] = {}
    for resource in resources:
        grouped.setdefault(definition_name(resource), []).append(resource)
    return [_labelled(definition_of(versions)) for versions in grouped.values()]


async def install(client: Client, *, clock: Clock, resources: Iterable[Resource] = RESOURCES, image: str = "") -> None:
    """Make a cluster serve our kinds and give it what they need. Returns when it does.

    With an `image` that has Lightship, Trainer's controllers and status server are deployed as well, unless the cluster's TrainJobs are
    somebody else's (or a platform of ours): then so are their controllers.

    Raises `StatusError` when the client may not, and `CliError` when a kind is not served in time or is somebody else's of another version.
    """
    listed = list(resources)
    for definition in definitions(listed):
        await _define(client, definition)
    for resource in listed:
        await _served(client, resource, clock)
    await train_bootstrap.bootstrap(client)
    if image and await is_ours(client, train_api.TRAIN_JOBS):
        for resource, wanted in residence.objects(image):
            await client.apply(resource, wanted)


async def is_ours(client: Client, resource: Resource) -> bool:
    """Was the definition of a kind brought by `install`?"""
    found = await client.get_or_none(CUSTOM_RESOURCE_DEFINITIONS, definition_name(resource))
    return found is not None and objects.labels(found).get(MANAGED_BY) == OURS


def _labelled(definition: Obj) -> Obj:
    return {**definition, "metadata": {**definition["metadata"], "labels": {MANAGED_BY: OURS}}}


async def _define(client: Client, definition: Obj) -> None:
    """Create a definition, or bring one of ours up to date."""
    name = objects.name(definition)
    live = await client.get_or_none(CUSTOM_RESOURCE_DEFINITIONS, name)
    if live is None or objects.labels(live).get(MANAGED_BY) == OURS:
        await client.apply(CUSTOM_RESOURCE_DEFINITIONS, definition, live=live)
        return
    served = {version["name"] for version in live["spec"]["versions"] if version.get("served")}
    if missing := [version["name"] for version in definition["spec"]["versions"] if version["name"] not in served]:
        raise CliError(
            f"{name} is on this cluster already, without version {missing[0]}: it has {', '.join(sorted(served)) or 'none'}",
            hint="update it with whatever installed it, or delete it (and all its objects) if nothing needs it",
        )


async def _served(client: Client, resource: Resource, clock: Clock) -> None:
    """Wait until a kind can be asked for: a server takes a moment between accepting a definition and going by it."""
    deadline = clock.monotonic() + PATIENCE
    while not await _answers(client, resource):
        if clock.monotonic() > deadline:
            name = definition_name(resource)
            raise CliError(f"{name} was not served within {PATIENCE:g} s: {await _reason(client, name)}")
        await clock.sleep(_POLL)


async def _answers(client: Client, resource: Resource) -> bool:
    try:
        await client.transport.list(resource, "", ListOptions(limit=1))
    except errors.StatusError as error:
        if error.code in (404, 503):
            return False
        raise
    return True


async def _reason(client: Client, name: str) -> str:
    definition = await client.get(CUSTOM_RESOURCE_DEFINITIONS, name)
    for type in ("NonStructuralSchema", "NamesAccepted", "Established"):
        found = conditions.get(definition, type)
        if found and (found["status"] == "True") == (type == "NonStructuralSchema"):
            return f"{type}: {found.get('message') or found.get('reason')}"
    return "the server does not say why"
