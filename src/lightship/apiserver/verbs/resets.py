"""Which fields a write to a resource or subresource cannot change, so that it does not come to own them.

Asked by `managed` once for each; the writes themselves are cut to measure in `subobjects`. Contract: GetResetFields of the strategies in
k8s.io/kubernetes pkg/registry and apiextensions-apiserver.
"""

from lightship.meta.fields.filters import ANY, Filter, excluding, including
from lightship.meta.resources import Resource

_SPEC, _STATUS, _METADATA = ("spec",), ("status",), ("metadata",)
_OF_MAIN = {"certificates.k8s.io/certificatesigningrequests": (_SPEC, _STATUS)}
_OF_STATUS = {
    "apps/deployments": (_SPEC, ("metadata", "labels")),
    "certificates.k8s.io/certificatesigningrequests": (_SPEC, ("status", "conditions")),
    "core/pods": (_SPEC, ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
}
_METADATA_KEPT_BY_STATUS = frozenset(
    {
        "admissionregistration.k8s.io/validatingadmissionpolicies",
        "apiregistration.k8s.io/apiservices",
        "flowcontrol.apiserver.k8s.io/flowschemas",
        "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
        "networking.k8s.io/servicecidrs",
        "resource.k8s.io/devicetaintrules",
        "resource.k8s.io/resourceclaims",
        "storage.k8s.io/volumeattachments",
    }
)
"""Kinds of which a write to /status changes no metadata at all; so it is with all custom kinds."""
_OF_PARTS: dict[tuple[str, str], Filter] = {
    ("core/namespaces", "finalize"): excluding(_STATUS),
    ("certificates.k8s.io/certificatesigningrequests", "approval"): excluding(_SPEC, ("status", "certificate")),
    ("core/pods", "ephemeralcontainers"): including(("spec", "ephemeralContainers")),
    ("core/pods", "resize"): including(
        ("spec", "containers", ANY, "resources"),
        ("spec", "containers", ANY, "resizePolicy"),
        ("spec", "initContainers", ANY, "resources"),
        ("spec", "initContainers", ANY, "resizePolicy"),
    ),
}


def of(resource: Resource, subresource: str) -> Filter | None:
    """What a write can change; None: everything."""
    if not subresource:
        paths = main_paths(resource)
        return excluding(*paths) if paths else None
    if subresource != "status":
        return _OF_PARTS.get((resource.bucket, subresource))
    kept = resource.custom or resource.bucket in _METADATA_KEPT_BY_STATUS
    return excluding(*_OF_STATUS.get(resource.bucket, (_METADATA, _SPEC) if kept else (_SPEC,)))


def main_paths(resource: Resource) -> tuple[tuple[str, ...], ...]:
    """The fields that a write to the object itself cannot change."""
    return _OF_MAIN.get(resource.bucket, (_STATUS,) if resource.status else ())
