"""Admission policies: rules in CEL, kept as objects, that refuse or change what is written.

`index` knows which policies there are and which of them a request may concern; without any, that is one look at a number. What evaluates
them is loaded with the first that concerns a request. Kinds of admissionregistration.k8s.io are never judged.
Contract: admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings.
"""

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission

from .index import Gate, Policies

_GROUP = "admissionregistration.k8s.io"
_ROOM = "lightship.apiserver.admission.policies"


def mutating(core: Core) -> list[Admission]:
    """The rule that lets policies change objects, for servers that serve them."""
    if core.catalogue.find(_GROUP, "v1", "mutatingadmissionpolicies") is None:
        return []
    policies = Policies(core, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
    gate = Gate(policies, f"{_ROOM}.changing", ("CREATE", "UPDATE", "CONNECT"))
    return [Admission(name="MutatingAdmissionPolicy", resources=(), always=True, mutate=gate.admit, buckets=(policies.bindings,))]


def validating(core: Core) -> list[Admission]:
    """The rule that lets policies refuse requests, for servers that serve them."""
    if core.catalogue.find(_GROUP, "v1", "validatingadmissionpolicies") is None:
        return []
    policies = Policies(core, "validatingadmissionpolicies", "validatingadmissionpolicybindings")
    gate = Gate(policies, f"{_ROOM}.judging", ("CREATE", "UPDATE", "DELETE", "CONNECT"))
    return [Admission(name="ValidatingAdmissionPolicy", resources=(), always=True, validate=gate.admit, buckets=(policies.bindings,))]
