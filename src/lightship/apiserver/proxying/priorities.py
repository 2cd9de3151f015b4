"""How important each API group is, by which clients choose between groups that have a kind of the same name.

Asked by `aggregation` for the APIServices of our own groups. Contract: kube-apiserver pkg/controlplane/apiserver/aggregator.go.
"""

_GROUPS = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "admissionregistration.k8s.io": 16700,
    "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
}
_VERSIONS = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21, ("resource.k8s.io", "v1"): 21}
_CUSTOM = (1000, 100)


def priorities(group: str, version: str) -> tuple[int, int]:
    """(groupPriorityMinimum, versionPriority)."""
    if group not in _GROUPS:
        return _CUSTOM
    return _GROUPS[group], _VERSIONS.get((group, version), 15)
