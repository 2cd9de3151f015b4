"""How admission says no: 403 in the words of the real server, with the resource and the name in front of the reason. Used by every rule."""

from lightship.meta import errors
from lightship.meta.admission import AdmissionRequest


def forbidden(request: AdmissionRequest, why: str) -> errors.StatusError:
    """`pods "a" is forbidden: <why>`."""
    resource = request.resource
    qualified = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    shown = f'{qualified} "{request.name}"' if request.name else qualified
    return errors.forbidden(f"{shown} is forbidden: {why}", resource.plural, request.name, resource.group)
