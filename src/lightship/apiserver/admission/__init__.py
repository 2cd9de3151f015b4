"""The admission rules that every server has: namespaces must exist, pods get their ServiceAccount and priority, limits hold.

`server` asks for `builtin(core)` once; each rule is a module. They complete what they add, so that defaults need not run again.
"""

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission

from . import (
    allocation,
    certificates,
    classes,
    limit_ranges,
    namespaces,
    pod_groups,
    policies,
    priorities,
    quota,
    runtime_classes,
    service_accounts,
    tolerations,
    volumes,
    webhooks,
)
from . import node_restriction as restriction


def builtin(core: Core) -> list[Admission]:
    """In the order in which the real server runs them."""
    return [
        namespaces.admission(core),
        *limit_ranges.admission(core),
        *service_accounts.admission(core),
        *restriction.admission(core.store, core.catalogue),
        *priorities.admission(core),
        *tolerations.admission(core),
        *classes.storage(core),
        *volumes.protection(core),
        *pod_groups.protection(core),
        *volumes.resize(core),
        *runtime_classes.admission(core),
        *classes.ingress(core),
        *certificates.admission(core),
        *pod_groups.workloads(core),
        *policies.mutating(core),
        *webhooks.mutating(core),
        *allocation.admission(core),
        *policies.validating(core),
        *webhooks.validating(core),
        *quota.admission(core),
    ]
