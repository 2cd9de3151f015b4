"""Kinds of the group `networking.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 networking/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

INGRESS_CLASSES = facts.resource("networking.k8s.io/v1/ingressclasses")
INGRESSES = facts.resource("networking.k8s.io/v1/ingresses")
IP_ADDRESSES = facts.resource("networking.k8s.io/v1/ipaddresses")
NETWORK_POLICIES = facts.resource("networking.k8s.io/v1/networkpolicies")
SERVICE_CIDRS = facts.resource("networking.k8s.io/v1/servicecidrs")

RESOURCES: tuple[Resource, ...] = (INGRESS_CLASSES, INGRESSES, IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS)
