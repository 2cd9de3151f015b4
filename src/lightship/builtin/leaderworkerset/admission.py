"""The rules that upstream has behind webhooks: for sets, which are checked, and for pods of any origin that carry the label of one.

`main` gives the server this where it serves LeaderWorkerSets. Other servers need upstream's webhooks for the same: what a pod of a group
is told in its variables cannot be told later. Refusals are worded as the webhooks word them.
Contract: LeaderWorkerSet 0.9 webhooks vleaderworkerset.kb.io, vdisaggregatedset.kb.io and mpod.kb.io.
"""

from lightship.builtin.api import DISAGGREGATED_SETS, LEADER_WORKER_SETS
from lightship.builtin.disaggregatedset import rules as disaggregated_rules
from lightship.builtin.leaderworkerset import gangs, pods, rules, terms
from lightship.builtin.leaderworkerset.places import PodRefusedError
from lightship.kinds import PODS
from lightship.meta import errors, objects
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj


def admission(*, gang_provider: str = "") -> Admission:
    """`gang_provider` as the controllers have it."""

    async def mutate(request: AdmissionRequest) -> list[str] | None:
        pod = request.obj
        if request.resource == PODS and request.operation == "CREATE" and pod is not None and terms.NAME in objects.labels(pod):
            try:
                pods.dress(pod)
            except PodRefusedError as error:
                raise errors.denied("mpod.kb.io", [str(error)]) from error
            if gang_provider:
                gangs.mark(pod)
        return None

    return Admission(
        name="leaderworkerset",
        resources=(LEADER_WORKER_SETS, DISAGGREGATED_SETS, PODS),
        mutate=mutate,
        validate=_validate,
        operations=("CREATE", "UPDATE"),
        whole=True,
    )


async def _validate(request: AdmissionRequest) -> list[str] | None:
    if request.subresource or request.obj is None:
        return None
    if request.resource == DISAGGREGATED_SETS:
        if causes := disaggregated_rules.validate(request.obj):
            raise errors.denied("vdisaggregatedset.kb.io", (cause.text() for cause in causes))
    elif request.resource == LEADER_WORKER_SETS:
        _validate_set(request, request.obj)
    return None


def _validate_set(request: AdmissionRequest, new: Obj) -> None:
    old = rules.defaulted(request.old) if request.old is not None else None
    if causes := rules.validate(rules.defaulted(new), old):
        raise errors.denied("vleaderworkerset.kb.io", (cause.text() for cause in causes))
