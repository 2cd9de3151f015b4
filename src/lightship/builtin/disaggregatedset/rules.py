"""What a DisaggregatedSet may not ask of its roles, besides what the schema says: an update is led by the set, not by a role.

Pure; stands behind `leaderworkerset.admission`. Contract: vdisaggregatedset.kb.io of LeaderWorkerSet 0.9.
"""

from lightship.meta import objects
from lightship.meta.errors import Cause, forbidden_field
from lightship.meta.objects import Obj

_PARTITION = "partition is not supported by DisaggregatedSet; rolling updates are managed across roles by the DisaggregatedSet controller"


def validate(found: Obj) -> list[Cause]:
    path = "spec.roles[{}].spec.rolloutStrategy.rollingUpdateConfiguration.partition"
    return [
        forbidden_field(path.format(index), _PARTITION)
        for index, role in enumerate(objects.spec(found).get("roles") or ())
        if objects.get_path(role, "spec", "rolloutStrategy", "rollingUpdateConfiguration", "partition")
    ]
