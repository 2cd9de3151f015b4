"""TensorFlow: the TF_CONFIG that `tf.distribute` strategies read: who the workers are, and which of them this one is.

Trainer has no TensorFlow in its mlPolicy, so runtimes say it by the label `trainer.kubeflow.org/framework: tensorflow`. Injected into the
trainer's `node` container when the TrainJob has a `spec.trainer`. The index differs from pod to pod while their template is one: it stands
in the JSON as `$(TF_TASK_INDEX)`, a variable of the downward API that the kubelet puts in.
Contract: TF_CONFIG of `tf.distribute.cluster_resolver.TFConfigClusterResolver`; variables of pods, `$(NAME)` in values.
"""

import json
from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.train.api.causes import rejected
from lightship.train.api.names import COMPLETION_INDEX_PATH, TRAINER_PORT

from .plan import Plan, env, env_from_field, upsert

FRAMEWORK = "tensorflow"
CONFIG, INDEX = "TF_CONFIG", "TF_TASK_INDEX"
RESERVED = (CONFIG, INDEX)


class TensorFlow:
    name = "TensorFlow"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if plan.framework != FRAMEWORK:
            return
        listed = (plan.trainer_spec or {}).get("env") or []
        taken = sorted({e["name"] for e in listed} & set(RESERVED))
        if taken:
            yield rejected("spec.trainer.env", listed, f"must not have reserved envs, invalid envs configured: [{' '.join(taken)}]")

    def enforce_ml_policy(self, plan: Plan) -> None:
        if plan.framework != FRAMEWORK:
            return
        plan.take_nodes()
        container = plan.trainer_container
        if plan.trainer_spec is None or container is None:
            return
        # The index first: only variables that came before can be put into a value.
        upsert(container, "env", [env_from_field(INDEX, COMPLETION_INDEX_PATH), env(CONFIG, _config(plan.hosts))])
        upsert(container, "ports", [{"containerPort": TRAINER_PORT}], key="containerPort")


def _config(hosts: list[str]) -> str:
    workers = json.dumps([f"{host}:{TRAINER_PORT}" for host in hosts], separators=(",", ":"))
    return f'{{"cluster":{{"worker":{workers}}},"task":{{"type":"worker","index":$({INDEX})}}}}'
