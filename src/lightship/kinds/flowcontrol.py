"""Kinds of the group `flowcontrol.apiserver.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 flowcontrol/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

FLOW_SCHEMAS = facts.resource("flowcontrol.apiserver.k8s.io/v1/flowschemas")
PRIORITY_LEVEL_CONFIGURATIONS = facts.resource("flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations")

RESOURCES: tuple[Resource, ...] = (FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS)
