"""Policies of the Trainer API that this version does not carry out yet, refused in clear words rather than ignored.

First in the list, so that nothing is built half. Each framework that arrives takes its line out of here.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.train.api.causes import rejected
from lightship.train.errors import UnsupportedError

from .plan import Plan

_SOURCES = {"mpi": "MPI (OpenMPI, DeepSpeed and MLX runtimes)", "flux": "Flux"}
_POD_GROUPS = {"coscheduling": "coscheduling", "volcano": "Volcano"}
_NOT_YET = "which this version of Lightship does not have yet"
_TUNE = ["tune", "run"]


class Unavailable:
    name = "Unavailable"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        for what in _missing(plan):
            yield rejected("spec.runtimeRef", plan.job["spec"].get("runtimeRef"), what)

    def enforce_ml_policy(self, plan: Plan) -> None:
        for what in _missing(plan):
            raise UnsupportedError(what)


def _missing(plan: Plan) -> Iterator[str]:
    if plan.source in _SOURCES:
        yield f"its mlPolicy needs {_SOURCES[plan.source]}, {_NOT_YET}; use a torch, jax, xgboost or plain runtime"
    for policy, name in _POD_GROUPS.items():
        if policy in plan.pod_group_policy:
            yield f"its podGroupPolicy needs {name}, {_NOT_YET}; use a runtime without podGroupPolicy"
    if (plan.trainer_spec or {}).get("command") == _TUNE:
        yield "the torchtune trainer is not in this version of Lightship yet; use a custom trainer"
