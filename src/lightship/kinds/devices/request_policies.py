"""How much of a device's capacity may be asked for at a time: lists of amounts, or ranges with steps.

Called by `slice_checks` for devices that several claims may share.
Contract: kube 1.36 pkg/apis/resource/validation validateRequestPolicy.
"""

from lightship.meta import errors, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .checks import each

_MAX_OPTIONS = 10
_BOTH = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'


def check(path: str, capacity: Obj) -> list[Cause]:
    """The policy of one capacity."""
    policy = capacity.get("requestPolicy")
    if policy is None:
        return []
    at, most = f"{path}.requestPolicy", str(capacity.get("value") or "0")
    values, limits, default = policy.get("validValues"), policy.get("validRange"), policy.get("default")
    if values and limits is not None:
        return [errors.forbidden_field(at, _BOTH)]
    if not values and limits is None:
        return []
    if default is None:
        return [errors.required(f"{at}.default", f"required when {'validValues' if values else 'validRange'} is defined")]
    if values:
        return _check_values(f"{at}.validValues", [str(v) for v in values], str(default), most)
    return _check_range(f"{at}.validRange", limits or {}, str(default), most)


def _check_values(path: str, values: list[str], default: str, most: str) -> list[Cause]:
    shown, limit = quantity.canonical(most), quantity.parse(most)
    amounts = [quantity.parse(value) for value in values]
    causes = [
        errors.invalid_value(f"{path}[{i + 1}]", quantity.canonical(values[i + 1]), "values must be sorted in ascending order")
        for i in range(len(values) - 1)
        if amounts[i] > amounts[i + 1]
    ]

    def option(at: str, value: str) -> list[Cause]:
        why = f"option is larger than capacity value: {shown}"
        return [errors.invalid_value(at, quantity.canonical(value), why)] if quantity.parse(value) > limit else []

    causes += each(path, values, _MAX_OPTIONS, option, lambda value: str(quantity.to_int(value)))
    if len(values) > _MAX_OPTIONS or quantity.parse(default) not in amounts:
        causes.append(errors.invalid_value(path, quantity.canonical(default), "default value is not valid according to the requestPolicy"))
    return causes


def _check_range(path: str, limits: Obj, default: str, most: str) -> list[Cause]:
    low, high, step = (limits.get(field) for field in ("min", "max", "step"))
    if low is None:
        return [errors.required(f"{path}.min", "required when validRange is defined")]
    causes = _larger(f"{path}.min", low, most, "min is larger than capacity value")
    if quantity.parse(default) < quantity.parse(low):
        why = f"default is less than min: {quantity.canonical(low)}"
        causes.append(errors.invalid_value(f"{path}.min", quantity.canonical(default), why))
    if high is not None:
        causes += _larger(f"{path}.max", low, high, "min is larger than max")
        causes += _larger(f"{path}.max", high, most, "max is larger than capacity value")
        causes += _larger(f"{path}.max", default, high, "default is more than max")
    if step is not None:
        causes += _check_step(f"{path}.step", str(low), str(step), [default] + ([] if high is None else [str(high)]), most)
    return causes


def _larger(path: str, amount: str, limit: str, what: str) -> list[Cause]:
    if quantity.parse(amount) <= quantity.parse(limit):
        return []
    return [errors.invalid_value(path, quantity.canonical(amount), f"{what}: {quantity.canonical(limit)}")]


def _check_step(path: str, low: str, step: str, values: list[str], most: str) -> list[Cause]:
    causes: list[Cause] = []
    added = quantity.add({"": low}, {"": step})[""]
    if quantity.parse(added) > quantity.parse(most):
        why = f"one step {added} is larger than capacity value: {quantity.canonical(most)}"
        causes.append(errors.invalid_value(path, quantity.canonical(step), why))
    size = quantity.to_int(step)
    for value in values:
        # The real server divides by a step of nothing, and dies of it.
        if size == 0 or (quantity.to_int(value) - quantity.to_int(low)) % size:
            why = f"value is not a multiple of a given step ({quantity.canonical(step)}) from ({quantity.canonical(low)})"
            causes.append(errors.invalid_value(path, quantity.canonical(value), why))
    return causes
