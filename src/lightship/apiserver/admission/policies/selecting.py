"""From the policies that may concern a request to what is to be evaluated: policy, binding and parameter, or what stands in the way.

Called by both kinds of judges. Contract: k8s.io/apiserver pkg/admission/plugin/policy/generic policy_dispatcher.go.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from lightship.apiserver.core import Core
from lightship.apiserver.served import Served
from lightship.meta.admission import AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from . import params
from .constraints import Constraints
from .index import Binding, Policy
from .params import Misconfigured


class Invocation(NamedTuple):
    """`shown`: the resource by which the policy knows the request's."""

    policy: Policy
    binding: Binding
    shown: Resource
    param: Obj | None


class Trouble(NamedTuple):
    """A policy (and binding) that concerns the request and cannot be evaluated."""

    policy: Policy
    binding: Binding | None
    message: str


async def select(core: Core, request: AdmissionRequest, policies: Sequence[Policy]) -> AsyncIterator[Invocation | Trouble]:
    """What concerns the request as it is now, in order."""
    for policy in policies:
        try:
            shown = _constraints(policy).match(core, request)
            if shown is None:
                continue
            kind = params.kind_of(core, policy.spec.get("paramKind"))
        except (StatusError, Misconfigured) as error:
            yield Trouble(policy, None, f"failed to configure policy: {error}")
            continue
        for binding in policy.bindings:
            try:
                found = await _params(core, request, kind, binding)
            except (StatusError, Misconfigured) as error:
                yield Trouble(policy, binding, f"failed to configure binding: {error}")
                continue
            for param in found:
                yield Invocation(policy, binding, shown, param)


async def _params(core: Core, request: AdmissionRequest, kind: Served | None, binding: Binding) -> Sequence[Obj | None]:
    resources = binding.spec.get("matchResources")
    if resources is not None:
        if binding.resources is None:
            binding.resources = Constraints(resources)
        if binding.resources.match(core, request) is None:
            return ()
    return await params.collect(core, kind, binding.spec.get("paramRef"), request.namespace)


def _constraints(policy: Policy) -> Constraints:
    if policy.resources is None:
        policy.resources = Constraints(policy.spec["matchConstraints"])
    found: Constraints = policy.resources
    return found
