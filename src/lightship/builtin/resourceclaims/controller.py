"""Two loops: one makes the claims that pods name templates for, the other lets claims go that nobody uses any more.

Woken by pods, claims and templates; pods without claims wake nobody. Names of claims are made up by the server, so a claim whose answer was
lost is looked for by its owner before another is made.
Contract: kube-controller-manager 1.36 pkg/controller/resourceclaim (names, annotation, owner, status, events, reservations).
"""

from collections import OrderedDict
from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.resourceclaims import decide
from lightship.client.informer import by_controller
from lightship.control import Controller, Done, Manager, Outcome, Watch, finalizers, itself
from lightship.kinds import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

USES_INDEX = "builtin/resource-claim"
TEMPLATE_INDEX = "builtin/resource-claim-template"
OWNER_INDEX = "builtin/resource-claim-owner"
REMEMBERED = 500
"""Pods that are known to be gone: of others the server is asked."""


def controllers(manager: Manager) -> list[Controller]:
    maker, releaser = Maker(manager), Releaser(manager)

    def itself_if_concerned(pod: Obj) -> Iterable[Key]:
        return (objects.key(pod),) if decide.uses(pod) else ()

    def claims_of(pod: Obj) -> Iterable[Key]:
        return [Key(objects.namespace(pod), name) for name in decide.claim_names(pod)]

    return [
        Controller(
            "resourceclaim",
            maker,
            watches=[
                Watch(PODS, itself_if_concerned),
                Watch(RESOURCE_CLAIMS, maker.users_of),
                Watch(RESOURCE_CLAIM_TEMPLATES, maker.users_of_template),
            ],
        ),
        Controller("resourceclaim-release", releaser, watches=[itself(RESOURCE_CLAIMS), Watch(PODS, claims_of)]),
    ]


class Maker:
    """Makes claims for pods, writes their names into the pods, and reserves claims for pods that were given a node by somebody else."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._pods = manager.cache.informer(PODS)
        self._claims = manager.cache.informer(RESOURCE_CLAIMS)
        self._templates = manager.cache.informer(RESOURCE_CLAIM_TEMPLATES)
        self._pods.add_index(USES_INDEX, _claim_keys)
        self._pods.add_index(TEMPLATE_INDEX, _template_keys)
        self._claims.add_index(OWNER_INDEX, by_controller)
        self._doubtful: set[str] = set()
        """Pods for which a claim may have been made without our seeing it."""

    def users_of(self, claim: Obj) -> Iterable[Key]:
        owner = decide.owner_name(claim)
        known = self._pods.keys_by_index(USES_INDEX, _key(claim))
        return [*known, Key(objects.namespace(claim), owner)] if owner else known

    def users_of_template(self, template: Obj) -> Iterable[Key]:
        return self._pods.keys_by_index(TEMPLATE_INDEX, _key(template))

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None or objects.is_deleting(pod) or decide.is_done(pod):
            return Done()
        made: dict[str, str] = {}
        for use in decide.uses(pod):
            try:
                name = await self._provide(pod, use)
            except (errors.StatusError, LookupError) as error:
                said = error.message if isinstance(error, errors.StatusError) else str(error.args[0])
                self._recorder.event(pod, "Warning", "FailedResourceClaimCreation", f"PodResourceClaim {use['name']}: {said}")
                if isinstance(error, errors.StatusError):
                    raise
                return Done()  # the template will wake us
            if name:
                made[use["name"]] = name
        if made:
            pod = await self._client.patch_status(PODS, pod, decide.with_names(pod, made))
        if objects.spec(pod).get("nodeName"):
            await self._reserve(pod)
        return Done()

    async def _provide(self, pod: Obj, use: Obj) -> str:
        """The name of the claim that is to be written into the pod; empty when nothing is."""
        template_name = use.get("resourceClaimTemplateName")
        if template_name is None or decide.is_settled(pod, use):
            return ""
        known = self._claims.get(Key(objects.namespace(pod), decide.claim_name(pod, use) or ""))
        if known is not None and objects.is_controlled_by(known, pod):
            return ""
        found = await self._orphan(pod, use)
        if found is None:
            template = self._templates.get(Key(objects.namespace(pod), template_name))
            if template is None:
                missing = f'resourceclaimtemplate.resource.k8s.io "{template_name}" not found'
                raise LookupError(f'resource claim template "{template_name}": {missing}')
            found = await self._make(pod, decide.made_from(pod, use, template))
        return objects.name(found)

    async def _orphan(self, pod: Obj, use: Obj) -> Obj | None:
        """The claim that was made before and is not in the pod's status yet."""
        uid = objects.uid(pod)
        owned: Iterable[Obj] = self._claims.by_index(OWNER_INDEX, uid)
        if uid in self._doubtful:
            owned = (await self._client.list(RESOURCE_CLAIMS, objects.namespace(pod))).items
            self._doubtful.discard(uid)
        mine = [claim for claim in owned if decide.is_made_for(claim, pod, use) and not objects.is_deleting(claim)]
        return min(mine, key=objects.name, default=None)

    async def _make(self, pod: Obj, claim: Obj) -> Obj:
        try:
            return await self._client.create(RESOURCE_CLAIMS, claim)
        except errors.StatusError as error:
            if error.code >= 500:
                self._doubtful.add(objects.uid(pod))
            raise

    async def _reserve(self, pod: Obj) -> None:
        for name in filter(None, (decide.claim_name(pod, use) for use in decide.uses(pod))):
            claim = self._claims.get(Key(objects.namespace(pod), name))
            if claim is not None and decide.must_reserve(claim, pod):
                consumer = {"resource": "pods", "name": objects.name(pod), "uid": objects.uid(pod)}
                status = objects.status(claim)
                reserved = {**status, "reservedFor": [*(status.get("reservedFor") or ()), consumer]}
                await self._client.update_status(RESOURCE_CLAIMS, {**claim, "status": reserved})


class Releaser:
    """Takes pods that are gone out of `reservedFor`; with the last the allocation goes, and a claim made for a pod that is done."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._pods = manager.cache.informer(PODS)
        self._claims = manager.cache.informer(RESOURCE_CLAIMS)
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._pods.on_change(self._note)

    async def reconcile(self, key: Key) -> Outcome:
        claim = self._claims.get(key)
        if claim is None:
            return Done()
        gone = {consumer.get("uid"): await self._is_gone(consumer, key) for consumer in objects.status(claim).get("reservedFor") or ()}
        owner = decide.owner_name(claim)
        pod = self._pods.get(Key(key.namespace, owner)) if owner else None
        left = decide.remains(claim, lambda consumer: gone[consumer.get("uid")], pod)
        if left.status is not None:
            claim = await self._client.update_status(RESOURCE_CLAIMS, {**claim, "status": left.status})
        if left.unprotect:
            claim = await finalizers.remove(self._client, RESOURCE_CLAIMS, claim, decide.FINALIZER)
        if left.useless and not objects.is_deleting(claim):
            await children.remove(self._client, RESOURCE_CLAIMS, claim)
        return Done()

    async def _is_gone(self, consumer: Obj, claim: Key) -> bool:
        """Does this consumer not need the claim any more? Of those that are no pods we do not know."""
        if consumer.get("apiGroup") or consumer.get("resource") != "pods":
            return False
        if consumer.get("uid") in self._gone:
            return True
        pod = self._pods.get(Key(claim.namespace, consumer["name"]))
        if pod is None:
            # It may have come a moment ago: the reservation of a pod that is being bound must not be taken from it.
            pod = await self._client.get_or_none(PODS, consumer["name"], claim.namespace)
        return pod is None or objects.uid(pod) != consumer.get("uid") or decide.is_done(pod)

    def _note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or objects.uid(new) != objects.uid(old)) and decide.claim_names(old):
            self._gone[objects.uid(old)] = None
            if len(self._gone) > REMEMBERED:
                self._gone.popitem(last=False)


def _key(obj: Obj) -> str:
    return f"{objects.namespace(obj)}/{objects.name(obj)}"


def _claim_keys(pod: Obj) -> Iterable[str]:
    """`namespace/name` of the claims that a pod names, or that were made for it."""
    return [f"{objects.namespace(pod)}/{name}" for name in decide.claim_names(pod)] if decide.uses(pod) else ()


def _template_keys(pod: Obj) -> Iterable[str]:
    names = {use["resourceClaimTemplateName"] for use in decide.uses(pod) if use.get("resourceClaimTemplateName")}
    return [f"{objects.namespace(pod)}/{name}" for name in sorted(names)]
