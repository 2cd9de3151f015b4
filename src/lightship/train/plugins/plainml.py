"""Plain runtimes: no framework in the policy, so only the number of nodes is taken over.

The TrainJob's own environment reaches the container in `jobset`, as for every framework.
Contract: Trainer 2.3 plainml plugin.
"""

from .plan import Plan


class PlainML:
    name = "PlainML"

    def enforce_ml_policy(self, plan: Plan) -> None:
        if not plan.source:
            plan.take_nodes()
