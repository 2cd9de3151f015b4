"""Does a write speak of what its URL says, with options that there are, and of the version that is stored? Asked before anything is done.

Called by `writing`, by `applying` for what a configuration made, and by `reviews`. Pure: looks at the request, its body and the stored
object.
Contract: k8s.io/apiserver pkg/endpoints/handlers; apimachinery pkg/apis/meta/v1/validation; texts as kube-apiserver's.
"""

from lightship.apiserver.custom_objects import undecodable_metadata
from lightship.apiserver.requests import Request
from lightship.apiserver.served import CannotDecode, Served
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions

from . import managed

_LONGEST = 20
"""Digits of the largest uint64."""
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def check_options(options: WriteOptions, kind: str, *, applying: bool = False) -> None:
    """Raises 422 for options that no write of this kind has."""
    causes = []
    if applying and not options.field_manager:
        causes.append(errors.required("fieldManager", "is required for apply patch"))
    elif options.force and not applying:
        causes.append(errors.forbidden_field("force", "may not be specified for non-apply patch"))
    if options.field_manager:
        causes += managed.check_manager(options.field_manager)
    if options.field_validation not in _VALIDATIONS:
        causes.append(errors.not_supported("fieldValidation", options.field_validation, _VALIDATIONS))
    if causes:
        raise errors.invalid(kind, "", causes, "meta.k8s.io")


def check_identity(served: Served, request: Request, obj: Obj) -> None:
    """Is the body of the kind, name and namespace that the URL says? Fills, in place, what it leaves out."""
    resource = served.resource
    if not isinstance(obj, dict):
        raise errors.bad_request(f"the object provided is unrecognized (must be of type {resource.kind}): it is no JSON object")
    kind = obj.setdefault("kind", resource.kind) or resource.kind
    api_version = obj.setdefault("apiVersion", resource.api_version) or resource.api_version
    if kind != resource.kind or api_version != resource.api_version:
        why = f"expected {resource.kind} of {resource.api_version}, found {kind} of {api_version}"
        raise CannotDecode(f'{kind} in version "{api_version}" cannot be handled as a {resource.kind}: {why}', why)
    meta = obj.setdefault("metadata", {})
    if meta is None:
        meta = obj["metadata"] = {}
    if not isinstance(meta, dict):
        raise served.cannot_decode(undecodable_metadata(resource, meta))
    _check_namespace(request, meta, namespaced=resource.namespaced)
    if request.name and not meta.get("name"):
        raise errors.bad_request(f"the name of the object ({request.name} based on URL) was undeterminable: name must be provided")
    if request.name and meta["name"] != request.name:
        raise errors.bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({request.name})")


def _check_namespace(request: Request, meta: Obj, *, namespaced: bool) -> None:
    found = meta.get("namespace")
    if not namespaced:
        meta.pop("namespace", None)
    elif not found:
        meta["namespace"] = request.namespace
    elif found != request.namespace:
        raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the request")


def check_uid(served: Served, request: Request, new: Obj, old: Obj) -> None:
    """Does a PUT mean the very object that is stored, and not one that had its name before? Raises 409."""
    uid, stored = new["metadata"].get("uid"), old["metadata"]["uid"]
    if uid and uid != stored:
        resource = served.resource
        path = "/".join(filter(None, (resource.group if resource.custom else "", resource.plural, request.namespace, request.name)))
        error = f"StorageError: invalid object, Code: 4, Key: /registry/{path}, ResourceVersion: 0, AdditionalErrorMsg: "
        raise served.conflict(request.name, f"{error}Precondition failed: UID in precondition: {uid}, UID in object meta: {stored}")


def check_unversioned(version: str) -> None:
    """A new object names no version. What is none (a uint64 above zero) is dropped. Asked when all others have agreed, as storage does."""
    if version.isascii() and version.isdecimal() and len(digits := version.lstrip("0")) <= _LONGEST and 0 < int(digits or "0") < 1 << 64:
        raise errors.StatusError(500, "", "resourceVersion should not be set on objects to be created")


def check_version(served: Served, request: Request, new: Obj, old: Obj) -> None:
    """Does the client speak of the version that is stored? Raises 409 when not, 422 where it must say."""
    version = new["metadata"].get("resourceVersion")
    if not version:
        if served.resource.custom or not served.resource.unconditional_update:
            cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(served.resource.plural, request.name, [cause], served.resource.group)
    elif version != old["metadata"]["resourceVersion"]:
        if not str(version).isdecimal():
            raise errors.bad_request(f'metadata.resourceVersion: Invalid value: "{version}": must be a decimal number')
        raise served.conflict(request.name)
