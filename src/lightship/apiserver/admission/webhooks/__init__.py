"""Admission webhooks: programs outside of the server that may change or refuse what is written.

`configurations` knows which webhooks there are, `calls` asks those that a request concerns, `review` is the document that goes out and
comes back. Kinds of admissionregistration.k8s.io are never shown to them.
Contract: admissionregistration.k8s.io/v1; admission.k8s.io/v1 AdmissionReview.
"""

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission

from .calls import Mutating, Validating

_GROUP = "admissionregistration.k8s.io"
_MUTATING, _VALIDATING = "mutatingwebhookconfigurations", "validatingwebhookconfigurations"


def mutating(core: Core) -> list[Admission]:
    """The rule that asks mutating webhooks, for servers that serve their configurations."""
    if core.catalogue.find(_GROUP, "v1", _MUTATING) is None:
        return []
    at = (f"{_GROUP}/{_MUTATING}",)
    return [Admission(name="MutatingAdmissionWebhook", resources=(), mutate=Mutating(core).admit, buckets=at, always=True)]


def validating(core: Core) -> list[Admission]:
    """The rule that asks validating webhooks, for servers that serve their configurations."""
    if core.catalogue.find(_GROUP, "v1", _VALIDATING) is None:
        return []
    at = (f"{_GROUP}/{_VALIDATING}",)
    return [Admission(name="ValidatingAdmissionWebhook", resources=(), validate=Validating(core).admit, buckets=at, always=True)]
