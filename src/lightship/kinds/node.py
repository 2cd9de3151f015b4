"""Kinds of the group `node.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 node/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

RUNTIME_CLASSES = facts.resource("node.k8s.io/v1/runtimeclasses")

RESOURCES: tuple[Resource, ...] = (RUNTIME_CLASSES,)
