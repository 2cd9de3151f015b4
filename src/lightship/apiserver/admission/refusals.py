"""How admission says no: 403 in the words of the real server, with the resource and the name in front of the reason. Used by every rule."""

from lightship.meta import errors
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj


def forbidden(request: AdmissionRequest, why: str) -> errors.StatusError:
    """`pods "a" is forbidden: <why>`."""
    resource, name = request.resource, named(request)
    qualified = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    return errors.forbidden(f'{qualified} "{name}" is forbidden: {why}', resource.plural, name, resource.group)


def named(request: AdmissionRequest) -> str:
    """What refusals call the object, which may have no name yet."""
    meta: Obj = (request.obj or {}).get("metadata") or {}
    return request.name or meta.get("name") or meta.get("generateName") or "Unknown"
