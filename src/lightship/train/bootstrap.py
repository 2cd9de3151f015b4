"""What a fresh cluster gets of Trainer: the shipped runtimes, and the ConfigMap by which clients learn the version.

`main` calls `bootstrap` once the API server answers; `install` does the same on a cluster. What a cluster of this version was given once
it is not given again, so that runtimes which an administrator edited or deleted stay that way. The same holds for runtimes of other
packages, each by its own version; one that brings something broken is told in the log and holds up nobody.
Contract: Trainer 2.3 manifests: runtimes by name, ConfigMap kubeflow-system/kubeflow-trainer-public.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from lightship.client.client import Client
from lightship.kinds import CONFIG_MAPS, NAMESPACES
from lightship.meta import codec, entrypoints, objects, packed
from lightship.meta.entrypoints import EntryPoint
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj

from .api import CLUSTER_TRAINING_RUNTIMES
from .errors import PlanError
from .plugins import outside

TRAINER_VERSION = "2.3.0"
NAMESPACE = "kubeflow-system"
PUBLIC_CONFIG = "kubeflow-trainer-public"
VERSION_KEY = "kubeflow_trainer_version"
GIVEN = "lightship.dev/runtimes"
"""Annotation of the public ConfigMap: which of our runtimes the cluster was given; a later version of ours may ship more."""
FIRST = "jax-distributed,torch-distributed,xgboost-distributed"
"""Those of clusters that were made before there was the annotation."""
BROUGHT_CONFIG = "lightship-frameworks"
"""ConfigMap of a cluster that has runtimes of other packages: framework → package and version that they came from."""
_RUNTIMES = Path(__file__).parent / "data" / "runtimes.json"
"""Made of `runtimes/*.yaml` by `tools/make_runtimes.py`: this is read at start."""
log = logging.getLogger(__name__)


def shipped() -> dict[str, Obj]:
    """The ClusterTrainingRuntimes that we ship, by name in order."""
    found: dict[str, Obj] = codec.decode(packed.read(_RUNTIMES))
    return found


def runtimes() -> list[Obj]:
    """The same, as a list."""
    return list(shipped().values())


async def bootstrap(client: Client, brought: Iterable[EntryPoint] | None = None) -> None:
    """Bring a cluster to `TRAINER_VERSION`, and to what other packages bring (by default those that are installed here).

    Raises `StatusError` when the client may not write runtimes.
    """
    known, ours = await client.get_or_none(CONFIG_MAPS, PUBLIC_CONFIG, NAMESPACE), shipped()
    current = known is not None and (known.get("data") or {}).get(VERSION_KEY) == TRAINER_VERSION
    given = objects.annotations(known).get(GIVEN, FIRST).split(",") if known is not None and current else []
    if missing := [runtime for name, runtime in ours.items() if name not in given]:
        for runtime in missing:
            await client.apply(CLUSTER_TRAINING_RUNTIMES, runtime)
        await client.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        # Last, so that a start that was cut short is made up for by the next one.
        public = _config(PUBLIC_CONFIG, {VERSION_KEY: TRAINER_VERSION})
        public["metadata"]["annotations"] = {GIVEN: ",".join(ours)}
        await client.apply(CONFIG_MAPS, public)
    points = list(entrypoints.find(outside.GROUP) if brought is None else brought)
    if points:
        await _bring(client, points)


async def _bring(client: Client, points: list[EntryPoint]) -> None:
    """The runtimes of packages whose version this cluster has not seen yet."""
    known = await client.get_or_none(CONFIG_MAPS, BROUGHT_CONFIG, NAMESPACE)
    seen: dict[str, str] = dict((known or {}).get("data") or {})
    for point in points:
        if seen.get(point.name) == point.origin:
            continue
        try:
            for runtime in outside.runtimes(point):
                await client.apply(CLUSTER_TRAINING_RUNTIMES, runtime)
        except (PlanError, StatusError) as error:
            log.error("the runtimes of framework %s (%s) could not be made, others go on: %s", point.name, point.origin, error)
        else:
            seen[point.name] = point.origin
    await client.apply(CONFIG_MAPS, _config(BROUGHT_CONFIG, seen))


def _config(name: str, data: dict[str, str]) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}
