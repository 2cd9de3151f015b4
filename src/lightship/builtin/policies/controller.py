"""Says in the status of every ValidatingAdmissionPolicy that it was looked at, and what its expressions get wrong about their kinds.

Each generation of a policy is looked at once. The check itself is `checking`'s, which is loaded with the first policy; others have their
turn between two expressions.
Contract: kube-controller-manager pkg/controller/validatingadmissionpolicystatus.
"""

from collections.abc import AsyncIterator, Iterable
from importlib import import_module

from lightship.control import Controller, Done, Manager, Outcome, itself
from lightship.kinds import CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_ADMISSION_POLICIES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

NAME = "validatingadmissionpolicy-status-controller"
_CHECKING = "lightship.builtin.policies.checking"


def controller(manager: Manager, resources: Iterable[Resource]) -> Controller:
    """`resources` are the kinds that the server serves from the start."""
    return Controller(NAME, PolicyReconciler(manager, resources), watches=[itself(VALIDATING_ADMISSION_POLICIES)])


class PolicyReconciler:
    def __init__(self, manager: Manager, resources: Iterable[Resource]) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._policies = manager.cache.informer(VALIDATING_ADMISSION_POLICIES)
        self._definitions = manager.cache.informer(CUSTOM_RESOURCE_DEFINITIONS)
        self._resources = list(resources)

    async def reconcile(self, key: Key) -> Outcome:
        policy = self._policies.get(key)
        if policy is None or (objects.status(policy).get("observedGeneration") or 0) >= objects.meta(policy)["generation"]:
            return Done()
        found = [warning async for warning in self._warnings(policy)]
        said = {"expressionWarnings": found} if found else {}
        status = {**objects.status(policy), "observedGeneration": objects.meta(policy)["generation"], "typeChecking": said}
        await self._client.patch_status(VALIDATING_ADMISSION_POLICIES, policy, status)
        return Done()

    async def _warnings(self, policy: Obj) -> AsyncIterator[Obj]:
        definitions = self._definitions.list()
        known = [resource for resource in self._resources if not resource.custom] + [r for d in definitions for r in served(d)]
        checking = import_module(_CHECKING)
        for warning in checking.check(policy, known, checking.types(known, definitions)):
            if warning is not None:
                yield warning
            await self._clock.sleep(0)


def served(definition: Obj) -> list[Resource]:
    """The kinds that a CustomResourceDefinition serves, by name alone."""
    spec = objects.spec(definition)
    names = spec["names"]
    versions = [version["name"] for version in spec["versions"] if version.get("served")]
    return [Resource(group=spec["group"], version=v, kind=names["kind"], plural=names["plural"], custom=True) for v in versions]
