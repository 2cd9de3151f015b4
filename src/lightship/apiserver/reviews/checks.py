"""Is an access review a question that can be answered? Pure; the words are the real server's.

Called by `reviews` before it asks the authorizer. Contract: kube 1.36 pkg/apis/authorization/validation, registry/authorization/util.
"""

from collections.abc import Callable

from lightship.kinds import checking
from lightship.meta import errors, selectors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_RESOURCE = "spec.resourceAttributes"
_LISTED, _BARE = ("In", "NotIn"), ("Exists", "DoesNotExist")


def problems(kind: str, review: Obj) -> list[Cause]:
    """Everything wrong with one of the three kinds of access review."""
    spec = review.get("spec") or {}
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    causes: list[Cause] = []
    if asked is not None and path is not None:
        why = "cannot be specified in combination with resourceAttributes"
        causes.append(errors.invalid_value("spec.nonResourceAttributes", _shown(path), why))
    if asked is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes.append(errors.invalid_value(_RESOURCE, None, why))
    if kind != "SelfSubjectAccessReview" and not (spec.get("user") or spec.get("groups")):
        causes.append(errors.invalid_value("spec.user", spec.get("user") or "", "at least one of user or group must be specified"))
    if asked is not None:
        causes += _field_selector(asked.get("fieldSelector"), f"{_RESOURCE}.fieldSelector")
        causes += _label_selector(asked.get("labelSelector"), f"{_RESOURCE}.labelSelector")
    return causes + _metadata(kind, review["metadata"], asked, path)


def _metadata(kind: str, meta: Obj, asked: Obj | None, path: Obj | None) -> list[Cause]:
    local = kind == "LocalSubjectAccessReview"
    ignored = ("managedFields", "namespace") if local else ("managedFields",)
    rest = {field: value for field, value in meta.items() if field not in ignored and value}
    causes: list[Cause] = []
    if rest:
        causes.append(errors.invalid_value("metadata", rest, "must be empty except for namespace" if local else "must be empty"))
    if local and asked is not None and (asked.get("namespace") or "") != meta.get("namespace"):
        causes.append(errors.invalid_value(f"{_RESOURCE}.namespace", asked.get("namespace") or "", "must match metadata.namespace"))
    if local and path is not None:
        causes.append(errors.invalid_value("spec.nonResourceAttributes", _shown(path), "disallowed on this kind of request"))
    return causes


def _shown(path: Obj) -> Obj:
    return {"Path": path.get("path") or "", "Verb": path.get("verb") or ""}


def _either(selector: Obj, path: str) -> list[Cause]:
    raw, requirements = selector.get("rawSelector") or "", selector.get("requirements")
    if raw and requirements:
        return [errors.invalid_value(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")]
    if not raw and not requirements:
        return [errors.required(f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required")]
    return []


def _field_selector(selector: Obj | None, path: str) -> list[Cause]:
    if selector is None:
        return []
    causes = _either(selector, path)
    for i, requirement in enumerate(selector.get("requirements") or ()):
        where = f"{path}.requirements[{i}]"
        if not requirement.get("key"):
            causes.append(errors.required(f"{where}.key", "must be specified"))
        causes += _values(requirement, where)
    return causes


def _label_selector(selector: Obj | None, path: str) -> list[Cause]:
    if selector is None:
        return []
    causes = _either(selector, path)
    for i, requirement in enumerate(selector.get("requirements") or ()):
        where = f"{path}.requirements[{i}]"
        causes += _values(requirement, where)
        causes += checking.check_name(f"{where}.key", requirement.get("key") or "", "qualified")
        for j, value in enumerate(requirement.get("values") or ()):
            causes += checking.check_name(f"{where}.values[{j}]", value, "label-value")
    return causes


def _values(requirement: Obj, path: str) -> list[Cause]:
    """Operators that are not known pass: a newer client may know more than we do."""
    operator, values = requirement.get("operator"), requirement.get("values")
    if operator in _LISTED and not values:
        return [errors.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")]
    if operator in _BARE and values:
        return [errors.forbidden_field(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
    return []


def field_selector(selector: Obj) -> str:
    """A selector of a question as text, without the requirements that cannot be understood."""
    requirements = selector.get("requirements")
    if not requirements:
        return selector.get("rawSelector") or ""
    signs = {"In": "=", "NotIn": "!="}
    usable = [r for r in requirements if r.get("operator") in signs and len(r.get("values") or ()) == 1]
    return ",".join(f"{r.get('key') or ''}{signs[r['operator']]}{r['values'][0]}" for r in usable)


def ignored_selectors(asked: Obj) -> str:
    """Which selectors of a question were left out of the answer because they cannot be understood."""
    found = []
    for name, parsed in (("fieldSelector", _parsed_fields), ("labelSelector", _parsed_labels)):
        selector = asked.get(name)
        if selector is not None:
            good, bad = parsed(selector)
            if bad:
                found.append(f"{_RESOURCE}.{name} {'partially ' if good else ''}ignored due to parse error")
    return "; ".join(found)


def _parsed_fields(selector: Obj) -> tuple[int, int]:
    """How many requirements can be used, and how many cannot."""
    requirements = selector.get("requirements") or ()
    if not requirements:
        return _tried(selectors.parse_field_selector, selector.get("rawSelector") or "")
    good = sum(r.get("operator") in _LISTED and len(r.get("values") or ()) == 1 for r in requirements)
    return good, len(requirements) - good


def _parsed_labels(selector: Obj) -> tuple[int, int]:
    requirements = selector.get("requirements") or ()
    if not requirements:
        return _tried(selectors.parse_label_selector, selector.get("rawSelector") or "")
    good = sum(r.get("operator") in (*_LISTED, *_BARE) for r in requirements)
    return good, len(requirements) - good


def _tried(parse: Callable[[str], object], text: str) -> tuple[int, int]:
    try:
        parse(text)
    except ValueError:
        return 0, 1
    return 1, 0
