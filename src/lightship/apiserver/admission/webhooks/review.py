"""AdmissionReview: the question that a webhook gets, and what of its answer is to be believed. Pure.

Contract: admission.k8s.io/v1 and v1beta1 AdmissionReview; k8s.io/apiserver pkg/admission/plugin/webhook/request.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple

from lightship.apiserver.access.authn import user_info
from lightship.meta import codec, errors
from lightship.meta.admission import AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj, split_api_version
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, WriteOptions

_VERSIONS = ("v1", "v1beta1")
_OPTION_KINDS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class BadAnswerError(ValueError):
    """The webhook answered, but not with what may be believed."""


class Verdict(NamedTuple):
    """What the webhook said. `patch` is a JSON patch, empty when it changes nothing; `status` explains a refusal."""

    allowed: bool
    patch: list[Any]
    status: Obj
    warnings: list[str]
    annotations: dict[str, str]
    """For the audit trail."""


def version(accepted: Sequence[str]) -> str:
    """The first version of AdmissionReview that both sides know. Raises `ValueError`."""
    for candidate in accepted:
        if candidate in _VERSIONS:
            return candidate
    raise ValueError("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def question(request: AdmissionRequest, shown: Resource, obj: Obj | None, old: Obj | None, uid: str, version: str) -> Obj:
    """The document to send; `shown` is the resource by which the webhook knows the request's, `obj` and `old` are already of it."""
    resource = request.resource
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"admission.k8s.io/{version}",
        "request": {
            "uid": uid,
            "kind": _kind_of(request, shown),
            "resource": _resource(shown),
            **({"subResource": request.subresource} if request.subresource else {}),
            "requestKind": _kind_of(request, resource),
            "requestResource": _resource(resource),
            **({"requestSubResource": request.subresource} if request.subresource else {}),
            **({"name": request.name} if request.name else {}),
            **({"namespace": request.namespace} if request.namespace else {}),
            "operation": request.operation,
            "userInfo": user_info(request.user),
            "object": obj,
            "oldObject": old,
            "dryRun": request.dry_run,
            "options": options(request),
        },
    }


def options(request: AdmissionRequest) -> Obj | None:
    """What the client asked for besides the object, as the object that the API has for it."""
    given = request.options
    if given is None or request.operation not in _OPTION_KINDS:
        return None
    found: Obj = {"kind": _OPTION_KINDS[request.operation], "apiVersion": "meta.k8s.io/v1"}
    if request.dry_run:
        found["dryRun"] = ["All"]
    if isinstance(given, WriteOptions):
        if given.field_manager:
            found["fieldManager"] = given.field_manager
        if given.field_validation:
            found["fieldValidation"] = given.field_validation
    elif isinstance(given, DeleteOptions):
        if given.grace_period_seconds is not None:
            found["gracePeriodSeconds"] = given.grace_period_seconds
        if given.propagation_policy:
            found["propagationPolicy"] = given.propagation_policy
        preconditions = {"uid": given.uid, "resourceVersion": given.resource_version}
        if any(preconditions.values()):
            found["preconditions"] = {key: value for key, value in preconditions.items() if value}
    return found


def verdict(answer: Any, uid: str, version: str, *, mutating: bool) -> Verdict:
    """What a webhook's answer says. Raises `BadAnswerError` when it is no answer to this question."""
    if not isinstance(answer, dict):
        raise BadAnswerError("expected an AdmissionReview, got no object")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadAnswerError("webhook response was absent")
    if version == "v1":
        _check_identity(answer, response, uid)
        _check_patch_type(response, mutating=mutating)
    warnings = response.get("warnings")
    status, annotations = response.get("status"), response.get("auditAnnotations")
    return Verdict(
        allowed=response.get("allowed") is True,
        patch=_patch(response.get("patch")) if mutating and response.get("allowed") is True else [],
        status=status if isinstance(status, dict) else {},
        warnings=[str(warning) for warning in warnings] if isinstance(warnings, list) else [],
        annotations={key: str(value) for key, value in annotations.items()} if isinstance(annotations, dict) else {},
    )


def _check_identity(answer: Obj, response: Obj, uid: str) -> None:
    if response.get("uid") != uid:
        raise BadAnswerError(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    kind, api_version = str(answer.get("kind") or ""), str(answer.get("apiVersion") or "")
    if (kind, api_version) != ("AdmissionReview", "admission.k8s.io/v1"):
        found = f"{api_version}, Kind={kind}" if kind or api_version else "/, Kind="
        raise BadAnswerError(f"expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {found}")


def _check_patch_type(response: Obj, *, mutating: bool) -> None:
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if patch:
            raise BadAnswerError("validating webhook may not return response.patch")
        if kind is not None:
            raise BadAnswerError("validating webhook may not return response.patchType")
        return
    if patch and kind is None:
        raise BadAnswerError("webhook returned response.patch but not response.patchType")
    if not patch and kind is not None:
        raise BadAnswerError("webhook returned response.patchType but not response.patch")
    if kind is not None and kind != "JSONPatch":
        raise BadAnswerError(f'webhook returned invalid response.patchType of "{kind}"')


def _patch(encoded: Any) -> list[Any]:
    if not encoded:
        return []
    try:
        decoded = codec.decode(base64.b64decode(encoded))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadAnswerError(f"received undecodable patch in webhook response: {error}") from error
    if decoded is None:
        return []
    if not isinstance(decoded, list):
        raise BadAnswerError("received undecodable patch in webhook response: it is no list of operations")
    return decoded


def refusal(name: str, status: Obj) -> StatusError:
    """What the client hears when a webhook says no: its own Status, with its name in front; never less than a 400."""
    denied = f'admission webhook "{name}" denied the request'
    message, reason, code = (status.get(field) for field in ("message", "reason", "code"))
    explained = f"{denied}: {message or reason}" if message or reason else f"{denied} without explanation"
    details = status.get("details")
    return StatusError(
        code if isinstance(code, int) and 400 <= code <= 599 else 400,
        str(reason or ""),
        explained,
        details if isinstance(details, dict) else None,
    )


def unsupported_dry_run(name: str) -> StatusError:
    return errors.bad_request(f'admission webhook "{name}" does not support dry run')


def _kind_of(request: AdmissionRequest, resource: Resource) -> Obj:
    """The kind of what is written, which some subresources have one of their own for (PodExecOptions)."""
    obj = request.obj or request.old or {}
    if obj.get("kind", resource.kind) == request.resource.kind:
        return _kind(resource)
    group, version = split_api_version(obj["apiVersion"])
    return {"group": group, "version": version, "kind": obj["kind"]}


def _kind(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _resource(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}
