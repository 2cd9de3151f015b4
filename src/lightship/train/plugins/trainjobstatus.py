"""Progress: tells the trainer's containers where to report how far they are, and lets them prove who they are.

Part of the framework where a status server runs (`plugins.reporting`); elsewhere pods are told nothing, as with upstream's gate
`TrainJobStatus` off. Pure: the authority that the server's certificate is signed by is given.
Contract: Trainer 2.3 trainjobstatus plugin.
"""

from lightship.kinds import CONFIG_MAPS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.train.api import progress

from .plan import Care, Component, Plan, env, upsert


class TrainJobStatus:
    name = "TrainJobStatus"

    def __init__(self, ca_pem: str) -> None:
        self._ca_pem = ca_pem

    def enforce_ml_policy(self, plan: Plan) -> None:
        trainer = plan.trainer
        if trainer is None:
            return
        namespace = objects.namespace(plan.job)
        variables = [
            env(progress.URL_VARIABLE, progress.url(namespace, plan.name)),
            env(progress.CA_VARIABLE, f"{progress.MOUNT_PATH}/{progress.CA_KEY}"),
            env(progress.TOKEN_VARIABLE, f"{progress.MOUNT_PATH}/{progress.TOKEN_FILE}"),
        ]
        mount = {"name": progress.VOLUME, "mountPath": progress.MOUNT_PATH, "readOnly": True}
        for container in trainer.pod.get("containers") or ():
            upsert(container, "env", variables)
            upsert(container, "volumeMounts", [mount], key="mountPath")
        upsert(trainer.pod, "volumes", [_volume(namespace, plan.name)])

    def build(self, plan: Plan) -> list[Component]:
        metadata = plan.metadata(plan.name + progress.TLS_SUFFIX)
        authority = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {progress.CA_KEY: self._ca_pem}}
        return [Component(CONFIG_MAPS, authority, care=Care.RIGHT)]


def _volume(namespace: str, name: str) -> Obj:
    token = {
        "audience": progress.audience(namespace, name),
        "expirationSeconds": progress.TOKEN_SECONDS,
        "path": progress.TOKEN_FILE,
    }
    authority = {"name": name + progress.TLS_SUFFIX, "items": [{"key": progress.CA_KEY, "path": progress.CA_KEY}]}
    return {"name": progress.VOLUME, "projected": {"sources": [{"serviceAccountToken": token}, {"configMap": authority}]}}
