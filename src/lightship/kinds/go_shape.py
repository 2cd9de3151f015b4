"""Values as the real server shows them in its refusals: Go structs of its own, with Go's names and every field.

Called by checks whose message names a whole struct. A shape is a list of Go field names; `?` marks fields that are null when missing,
`#` numbers, all others are empty strings. Contract: encoding/json of kube 1.36 internal types, which have no JSON names.
"""

import re
from typing import Any

from lightship.meta.objects import Obj

OBJECT_REFERENCE = "Kind Namespace Name UID APIVersion ResourceVersion FieldPath"
_LEADING = re.compile("^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+(?![a-z])|^[A-Z]")
_ZEROS: dict[str, Any] = {"?": None, "#": 0}


def shown(obj: Obj | None, shape: str) -> Obj | None:
    """The struct as its JSON looks; None for a pointer to nothing."""
    if obj is None:
        return None
    found: Obj = {}
    for field in shape.split():
        name = field.rstrip("?#")
        value = obj.get(_LEADING.sub(lambda m: m[0].lower(), name))
        found[name] = _ZEROS.get(field[-1], "") if value is None else value
    return found
