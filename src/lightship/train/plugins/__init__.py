"""What turns runtimes and TrainJobs into objects: one file per framework, in declared order.

`FRAMEWORK` is the one that the controller and admission use. The order matters: the frameworks set up their containers, those of other
packages (`outside`) after ours, and JobSet comes last because it builds what the others have prepared. What is exported here is what such
packages write their plugins with: docs/frameworks.md.
"""

from .checkpoint import Checkpoint
from .coscheduling import Coscheduling
from .elastic import Elastic
from .flux import Flux
from .framework import Framework
from .initializers import Initializers
from .jax import Jax
from .jobset import JobSet
from .mpi import MPI
from .outside import Outside
from .plainml import PlainML
from .plan import Component, Plan, env, env_from_field, upsert
from .priority import Priority
from .restarts import Restarts
from .tensorflow import TensorFlow
from .torch import Torch
from .torchtune import TorchTune
from .trainjobstatus import TrainJobStatus
from .volcano import Volcano
from .xgboost import XGBoost

PLUGINS = (
    *(Torch(), TorchTune(), MPI(), Jax(), XGBoost(), Flux(), PlainML(), TensorFlow()),
    *(Priority(), Coscheduling(), Volcano()),
    *(Elastic(), Restarts(), Checkpoint(), Initializers()),
    *(Outside(), JobSet()),
)
FRAMEWORK = Framework(PLUGINS)


def reporting(ca_pem: str) -> Framework:
    """The framework where a status server runs, whose certificate this authority has signed: pods are told to report to it."""
    return Framework((*PLUGINS, TrainJobStatus(ca_pem)))


__all__ = ["FRAMEWORK", "PLUGINS", "Component", "Framework", "Plan", "env", "env_from_field", "reporting", "upsert"]
