"""What is asked about JobSets and their pods before they are stored: upstream's webhooks, in this process.

`admission(client, gates)` gives the API server its rule sets; where upstream's manager runs instead, `main` leaves them out. Refusals come
as from upstream's webhooks. The client reads claims, pods and nodes.
Contract: JobSet 0.12 webhooks mjobset.kb.io, vjobset.kb.io, mpod.kb.io, vpod.kb.io.
"""

from lightship.builtin.api import JOB_SETS
from lightship.builtin.jobset import changes, defaults, placement, rules, terms, volume_rules, volumes
from lightship.builtin.jobset.gates import NONE, Gates, hints
from lightship.builtin.jobset.placement import PlacementError
from lightship.client.client import Client
from lightship.kinds import NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from lightship.meta import errors, objects
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import Cause, StatusError
from lightship.meta.objects import Obj

_JOB_SETS = "vjobset.kb.io"
_PODS = "vpod.kb.io"


def admission(client: Client, gates: Gates = NONE) -> list[Admission]:
    """The rule sets: one for JobSets, one for pods."""
    jobsets, pods = _JobSets(client, gates), _Pods(client)
    return [
        Admission(
            name="jobset",
            resources=(JOB_SETS,),
            mutate=jobsets.mutate,
            validate=jobsets.validate,
            operations=("CREATE", "UPDATE"),
            whole=True,
        ),
        Admission(name="jobset-pods", resources=(PODS,), mutate=pods.mutate, validate=pods.validate, operations=("CREATE",), whole=True),
    ]


class _JobSets:
    def __init__(self, client: Client, gates: Gates) -> None:
        self._client = client
        self._gates = gates

    async def mutate(self, request: AdmissionRequest) -> list[str] | None:
        if request.operation == "CREATE" and request.obj is not None:
            defaults.default(request.obj)
        return None

    async def validate(self, request: AdmissionRequest) -> list[str] | None:
        new, old = request.obj, request.old
        if new is None:
            return None
        if old is not None:
            causes = changes.problems(new, old, self._gates)
        else:
            causes = rules.problems(new, self._gates) + volume_rules.problems(new, await self._claims(new))
        if causes:
            request.warnings.extend(hints(cause.message for cause in causes))
            raise _invalid(objects.name(new), causes)
        return None

    async def _claims(self, jobset: Obj) -> dict[str, Obj]:
        """The claims that are there already of those that a JobSet asks for."""
        wanted = {volumes.claim_name(objects.name(jobset), objects.name(template)) for _, template in volumes.templates(jobset)}
        found: dict[str, Obj] = {}
        for name in sorted(wanted):
            claim = await self._client.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, objects.namespace(jobset))
            if claim is not None:
                found[name] = claim
        return found


class _Pods:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def mutate(self, request: AdmissionRequest) -> list[str] | None:
        pod = request.obj
        if pod is None or terms.NAME not in objects.labels(pod) or not placement.is_ours(pod):
            return None
        placement.note_priority(pod)
        if not placement.is_exclusive(pod):
            return None
        if placement.is_leader(pod):
            placement.keep_apart(pod)
        else:
            try:
                await self._follow(pod, request.namespace)
            except PlacementError as error:
                raise _denied("mpod.kb.io", str(error)) from error
        return None

    async def validate(self, request: AdmissionRequest) -> list[str] | None:
        pod = request.obj
        if pod is None or terms.NAME not in objects.labels(pod) or not placement.is_ours(pod):
            return None
        if not placement.is_exclusive(pod) or placement.is_leader(pod):
            return None
        try:
            placement.check_follower(pod)
            if not objects.spec(await self._leader(pod, request.namespace)).get("nodeName"):
                raise PlacementError(placement.NOT_SCHEDULED)
        except PlacementError as error:
            raise _denied(_PODS, str(error)) from error
        return None

    async def _follow(self, pod: Obj, namespace: str) -> None:
        """Bind a follower to its leader's domain, in place; where there is none yet, validation says so."""
        try:
            name = objects.spec(await self._leader(pod, namespace)).get("nodeName")
        except PlacementError:
            return
        if not name:
            return
        topology = objects.annotations(pod)[terms.EXCLUSIVE_TOPOLOGY]
        found = placement.domain(await self._client.get(NODES, name), topology)
        pod["spec"]["nodeSelector"] = {**(pod["spec"].get("nodeSelector") or {}), topology: found}

    async def _leader(self, pod: Obj, namespace: str) -> Obj:
        placement.leader_name(pod)
        labels = f"{terms.JOB_KEY}={objects.labels(pod).get(terms.JOB_KEY, '')},{placement.INDEX}=0"
        return placement.leader(pod, (await self._client.list(PODS, namespace, labels=labels)).items)


def _invalid(name: str, causes: list[Cause]) -> StatusError:
    """422, as a webhook's refusal comes back from the API server."""
    found = errors.invalid(JOB_SETS.kind, name, causes, JOB_SETS.group)
    return StatusError(found.code, found.reason, f'admission webhook "{_JOB_SETS}" denied the request: {found.message}', found.details)


def _denied(webhook: str, why: str) -> StatusError:
    return errors.forbidden(f'admission webhook "{webhook}" denied the request: {why}')
