"""What turns runtimes and TrainJobs into objects: one file per framework, in declared order.

`FRAMEWORK` is the one that the controller and admission use. The order matters: policies that nobody carries out yet are refused first,
the frameworks set up their containers, and JobSet comes last because it builds what the others have prepared.
"""

from .framework import Framework
from .jax import Jax
from .jobset import JobSet
from .plainml import PlainML
from .torch import Torch
from .unavailable import Unavailable
from .xgboost import XGBoost

PLUGINS = (Unavailable(), Torch(), Jax(), XGBoost(), PlainML(), JobSet())
FRAMEWORK = Framework(PLUGINS)

__all__ = ["FRAMEWORK", "PLUGINS", "Framework"]
