"""What a fresh cluster gets of Trainer: the shipped runtimes, and the ConfigMap by which clients learn the version.

`main` calls `bootstrap` once the API server answers; `install` does the same on a cluster. A cluster that has this version already is
left alone, so that runtimes which an administrator edited or deleted stay that way.
Contract: Trainer 2.3 manifests: runtimes by name, ConfigMap kubeflow-system/kubeflow-trainer-public.
"""

from importlib.resources import files

import yaml

from lightship.client.client import Client
from lightship.kinds import CONFIG_MAPS, NAMESPACES
from lightship.meta.objects import Obj

from .api import CLUSTER_TRAINING_RUNTIMES

TRAINER_VERSION = "2.3.0"
NAMESPACE = "kubeflow-system"
PUBLIC_CONFIG = "kubeflow-trainer-public"
VERSION_KEY = "kubeflow_trainer_version"


def runtimes() -> list[Obj]:
    """The ClusterTrainingRuntimes that we ship, by name."""
    folder = files("lightship.train").joinpath("data", "runtimes")
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml came with it, and this runs at start
    return [yaml.load(f.read_text(encoding="utf-8"), Loader=loader) for f in found]


async def bootstrap(client: Client) -> None:
    """Bring a cluster to `TRAINER_VERSION`. Raises `StatusError` when the client may not write runtimes."""
    known = await client.get_or_none(CONFIG_MAPS, PUBLIC_CONFIG, NAMESPACE)
    if known is not None and (known.get("data") or {}).get(VERSION_KEY) == TRAINER_VERSION:
        return
    for runtime in runtimes():
        await client.apply(CLUSTER_TRAINING_RUNTIMES, runtime)
    await client.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    # Last, so that a start that was cut short is made up for by the next one.
    public = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": PUBLIC_CONFIG, "namespace": NAMESPACE},
        "data": {VERSION_KEY: TRAINER_VERSION},
    }
    await client.apply(CONFIG_MAPS, public)
