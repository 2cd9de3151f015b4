"""What claims, classes and templates of dynamic resource allocation have in common: names, selectors, tolerations, configurations.

Called by `claim_checks`, `resource_claim_checks` and `slice_checks`.
Contract: kube 1.36 pkg/apis/resource/validation.
"""

import importlib
import re
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

from lightship.kinds import checking
from lightship.kinds.storage.volume_source_checks import csi_driver
from lightship.meta import codec, errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

Check: TypeAlias = Callable[[str, Any], list[Cause]]

MAX_REQUESTS = MAX_CONFIGS = MAX_SELECTORS = 32
_ID_LIMIT, _POOL_LIMIT = 32, 253
_EXPRESSION_LIMIT = _PARAMETERS_LIMIT = 10 * 1024
_SELECTORS = "lightship.kinds.devices.selectors"
EFFECTS = ("NoExecute", "NoSchedule", "None")
_uuid = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_NOT_UUID = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"

driver_name = csi_driver


def each(path: str, items: list[Any] | None, limit: int, check: Check, key: Callable[[Any], Hashable] | None = None) -> list[Cause]:
    """All items of a list of limited size; with `key`, none may repeat."""
    found = items or []
    if 0 <= limit < len(found):
        return [errors.too_many(path, len(found), limit)]
    causes = [c for i, item in enumerate(found) for c in check(f"{path}[{i}]", item)]
    seen: set[Hashable] = set()
    for i, item in enumerate(found) if key else ():
        value = key(item) if key else None
        if value in seen:
            causes.append(errors.duplicate(f"{path}[{i}]", value))
        seen.add(value)
    return causes


def by_name(item: Obj) -> str:
    return item.get("name") or ""


def label(path: str, name: str) -> list[Cause]:
    return checking.check_name(path, name, "label")


def pool_name(path: str, name: str) -> list[Cause]:
    if not name:
        return [errors.required(path)]
    causes = [errors.too_long(path, _POOL_LIMIT)] if len(name) > _POOL_LIMIT else []
    return causes + [c for part in name.split("/") for c in checking.check_name(path, part, "subdomain")]


def uid(path: str, value: str) -> list[Cause]:
    if _uuid(value):
        return []
    plain = value.lower().removeprefix("urn:uuid:").strip("{}").replace("-", "")
    if len(plain) != 32 or set(plain) - set("0123456789abcdef"):
        return [errors.invalid_value(path, value, f"error validating uid: invalid UUID length: {len(value)}")]
    return [errors.invalid_value(path, value, _NOT_UUID)]


def qualified(path: str, name: str) -> list[Cause]:
    """A name of an attribute or capacity: an identifier, after a domain or without one."""
    parts = name.split("/")
    if len(parts) > 2:
        return []  # as the real server
    causes: list[Cause] = []
    if len(parts) == 2:
        causes += driver_name(path, parts[0]) if parts[0] else [errors.invalid_value(path, "", "the domain must not be empty")]
    if len(parts) == 2 and not parts[1]:
        return [*causes, errors.invalid_value(path, "", "the name must not be empty")]
    return causes + _identifier(path, parts[-1])


def fully_qualified(path: str, name: str) -> list[Cause]:
    why = "a fully qualified name must be a domain and a name separated by a slash"
    return qualified(path, name) + ([] if "/" in name else [errors.invalid_value(path, name, why)])


def _identifier(path: str, name: str) -> list[Cause]:
    causes = [errors.too_long(path, _ID_LIMIT)] if len(name) > _ID_LIMIT else []
    return causes + checking.check_name(path, name, "c-identifier")


def selectors(path: str, given: list[Obj] | None, *, stored: bool = False) -> list[Cause]:
    """Expressions that choose devices. Those that are `stored` already may cost what they cost."""
    return each(path, given, MAX_SELECTORS, lambda at, selector: _selector(at, selector, stored=stored))


def _selector(path: str, selector: Obj, *, stored: bool) -> list[Cause]:
    chosen = selector.get("cel")
    if chosen is None:
        return [errors.required(f"{path}.cel")]
    expression, at = chosen.get("expression") or "", f"{path}.cel.expression"
    if len(expression.encode()) > _EXPRESSION_LIMIT:
        return [errors.too_long(at, _EXPRESSION_LIMIT)]
    problem, costly = importlib.import_module(_SELECTORS).problem(expression)
    if problem:
        return [errors.invalid_value(at, expression, problem)]
    return [errors.forbidden_field(at, "too complex, exceeds cost limit")] if costly else []


def configuration(path: str, config: Obj, *, stored: bool = False) -> list[Cause]:
    opaque = config.get("opaque")
    if opaque is None:
        return [errors.required(f"{path}.opaque")]
    causes = driver_name(f"{path}.opaque.driver", opaque.get("driver") or "")
    return causes + raw_object(f"{path}.opaque.parameters", opaque.get("parameters"), stored=stored)


def raw_object(path: str, value: Any, *, stored: bool = False) -> list[Cause]:
    """JSON that nobody but a driver understands: an object of limited size."""
    if value is None:
        return [errors.required(path)]
    if not stored and len(codec.encode(value)) > _PARAMETERS_LIMIT:
        return [errors.too_long(path, _PARAMETERS_LIMIT)]
    return [] if isinstance(value, dict) else [errors.invalid_value(path, "<value omitted>", "must be a valid JSON object")]


def toleration(path: str, given: Obj) -> list[Cause]:
    key, operator, value, effect = (given.get(field) or "" for field in ("key", "operator", "value", "effect"))
    causes = checking.check_name(f"{path}.key", key, "qualified") if key else []
    if operator == "Exists":
        if value:
            causes.append(errors.invalid_value(f"{path}.value", value, "must be empty for operator `Exists`"))
    elif operator == "Equal":
        causes += checking.check_name(f"{path}.value", value, "label-value")
    else:
        at = f"{path}.operator"
        causes.append(errors.not_supported(at, operator, ("Equal", "Exists")) if operator else errors.required(at))
    return causes + checking.one_of(f"{path}.effect", effect or None, EFFECTS)


def taint(path: str, given: Obj) -> list[Cause]:
    causes = checking.check_name(f"{path}.key", given.get("key") or "", "qualified")
    if given.get("value"):
        causes += checking.check_name(f"{path}.value", given["value"], "label-value")
    effect = given.get("effect")
    return causes + (checking.one_of(f"{path}.effect", effect, EFFECTS) if effect else [errors.required(f"{path}.effect")])


def binding(path: str, given: Obj) -> list[Cause]:
    """The conditions that a device waits for, and those that end the waiting."""
    waits, fails = given.get("bindingConditions") or [], given.get("bindingFailureConditions") or []
    causes: list[Cause] = []
    for field, found in (("bindingConditions", waits), ("bindingFailureConditions", fails)):
        causes += each(f"{path}.{field}", found, 4, lambda at, name: checking.check_name(at, name, "qualified"))
    causes += [errors.duplicate(f"{path}.bindingConditions[{i}]", name) for i, name in enumerate(waits) if name in waits[:i]]
    for i, name in enumerate(fails):
        at = f"{path}.bindingFailureConditions[{i}]"
        if name in fails[:i]:
            causes.append(errors.duplicate(at, name))
        if name in waits:
            causes.append(errors.invalid_value(at, name, "bindingFailureConditions must not overlap with bindingConditions"))
    if fails and not waits:
        why = "bindingConditions are required to use bindingFailureConditions"
        causes.append(errors.invalid_value(f"{path}.bindingConditions", given.get("bindingConditions"), why))
    if waits and not fails:
        why = "bindingFailureConditions are required to use bindingConditions"
        causes.append(errors.invalid_value(f"{path}.bindingFailureConditions", given.get("bindingFailureConditions"), why))
    return causes
