"""PATCH: a patch document and the stored object become a new object, which goes the way of every update.

Called by `registry`; the arithmetic of patches is `meta.patch`, and applies are `applying`'s. A patch that carries no resourceVersion is
applied again when another write was faster.
Contract: RFC 6902, RFC 7386, Kubernetes strategic merge patch; apiserver pkg/endpoints/handlers/patch.go.
"""

from typing import Any, cast

from lightship.apiserver.requests import Answer, Request
from lightship.apiserver.served import CannotDecode, Served
from lightship.meta import errors, patch
from lightship.meta.objects import Obj
from lightship.meta.rest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, WriteOptions
from lightship.meta.strategic import strategic_merge

from . import applying
from .subobjects import STATUS_FIELDS
from .write_checks import check_identity, check_options
from .writing import Writer

MAX_OPERATIONS = 10_000


async def patch_object(writer: Writer, served: Served, request: Request, document: Any, type: str, options: WriteOptions) -> Answer:
    """200 with the patched object. Raises 400, 415 and 422 for patches that cannot be applied."""
    if type == APPLY_PATCH:
        return await applying.apply(writer, served, request, document, options)
    check_options(options, "PatchOptions")
    check_patch(served, document, type)

    apart = not _names_managed_fields(document, type)

    def build(old: Obj) -> Obj:
        entries = old["metadata"].get("managedFields") if apart else None
        if request.subresource == "status" and type != JSON_PATCH:
            old = {field: old[field] for field in STATUS_FIELDS if field in old}
        if entries:
            # They are as large as all the rest, and patching copies what it keeps.
            old = {**old, "metadata": {field: value for field, value in old["metadata"].items() if field != "managedFields"}}
        new = _apply(served, old, document, type)
        check_identity(served, request, new)
        if entries:
            new["metadata"]["managedFields"] = entries
        return cast(Obj, new)

    try:
        return await writer.replace(served, request, build, options, pinned=_names_version(document, type))
    except CannotDecode as error:
        shown = f"{served.resource.kind} {request.name}"
        raise errors.invalid("", "", [errors.invalid_value("patch", shown, error.why)]) from error


def check_patch(served: Served, document: Any, type: str) -> None:
    """Is this a kind of patch that the resource takes, and a patch of that kind?"""
    if type == JSON_PATCH:
        if not isinstance(document, list):
            raise errors.bad_request("error decoding patch: a JSON patch is a list of operations")
        if len(document) > MAX_OPERATIONS:
            raise errors.too_large(
                f"Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(document)}"
            )
        return
    accepted = [JSON_PATCH, MERGE_PATCH] if served.resource.custom else [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH]
    if type not in accepted:
        raise errors.unsupported_media_type(
            f"the body of the request was in an unknown format ({type}) - accepted media types include: {', '.join(accepted)}"
        )
    if not isinstance(document, dict):
        raise errors.bad_request("error decoding patch: a merge patch is a JSON object")


def _apply(served: Served, old: Obj, document: Any, type: str) -> Any:
    try:
        if type == JSON_PATCH:
            return patch.json_patch(old, document)
        if type == MERGE_PATCH:
            return patch.merge_patch(old, document)
        return strategic_merge(old, document, served.merge_schema())
    except ValueError as error:
        if type == JSON_PATCH:
            raise errors.StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {}) from error
        raise errors.bad_request(f"error decoding patch: {error}") from error


def _names_managed_fields(document: Any, type: str) -> bool:
    """May the patch have to do with who manages which fields?"""
    if type == JSON_PATCH:
        paths = [op[field] for op in document if isinstance(op, dict) for field in ("path", "from") if field in op]
        return any(path in ("", "/metadata") or "managedFields" in str(path) for path in paths)
    metadata = document.get("metadata")
    return "metadata" in document and (not isinstance(metadata, dict) or "managedFields" in metadata or "$patch" in metadata)


def _names_version(document: Any, type: str) -> bool:
    """Does the patch itself say which version of the object it is for?"""
    if type == JSON_PATCH:
        return any(isinstance(op, dict) and str(op.get("path", "")).startswith("/metadata/resourceVersion") for op in document)
    metadata = document.get("metadata")
    return isinstance(metadata, dict) and "resourceVersion" in metadata


def patch_scale(scale: Obj, document: Any, type: str) -> Obj:
    """The Scale after a patch; its resourceVersion stays only when the patch names one."""
    try:
        new = patch.json_patch(scale, document) if type == JSON_PATCH else patch.merge_patch(scale, document)
    except ValueError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise errors.bad_request("the patch leaves no Scale")
    if not _names_version(document, type):
        new["metadata"].pop("resourceVersion", None)
    return new
