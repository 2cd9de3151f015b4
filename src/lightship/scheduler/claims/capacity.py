"""How much of a device's capacity a request uses up, and whether that is left.

Devices that may be given away several times are shared by capacity; of the others a request takes all, and only its size is compared.
Called by `search`. Pure arithmetic on quantities. Contract: k8s.io/dynamic-resource-allocation 0.36 structured, consumable capacity.
"""

from collections.abc import Mapping
from decimal import Decimal

from lightship.meta import quantity
from lightship.meta.objects import Obj

Amounts = Mapping[str, Decimal]
Requests = Mapping[str, str]


def suffices(capacities: Mapping[str, Obj], requests: Requests, *used: Amounts) -> bool:
    """Is there enough of every capacity, with what is `used` already, and does the request keep to what the device allows?"""
    if any(name not in capacities for name in requests):
        return False
    for name, capacity in capacities.items():
        text = consumed(requests.get(name), capacity)
        amount = quantity.parse(text)
        if _breaks(amount, capacity.get("requestPolicy") or {}):
            return False
        if amount + sum((amounts.get(name, Decimal(0)) for amounts in used), Decimal(0)) > quantity.parse(capacity["value"]):
            return False
    return True


def consumption(capacities: Mapping[str, Obj], requests: Requests) -> dict[str, str]:
    """What a request uses up of each capacity."""
    return {name: consumed(requests.get(name), capacity) for name, capacity in capacities.items()}


def consumed(requested: str | None, capacity: Obj) -> str:
    """The amount that is reckoned for a request: what the policy makes of it, the default or all where nothing is asked for."""
    policy = capacity.get("requestPolicy") or {}
    if requested is None:
        return str(policy["default"] if policy.get("default") is not None else capacity["value"])
    between = policy.get("validRange") or {}
    if between.get("min") is not None:
        return _in_steps(requested, between)
    if policy.get("validValues"):
        wanted = quantity.parse(requested)
        return next((str(value) for value in policy["validValues"] if wanted <= quantity.parse(value)), requested)
    return requested


def _in_steps(requested: str, between: Obj) -> str:
    """Rounded up to the smallest amount that the range allows."""
    if quantity.parse(requested) < quantity.parse(between["min"]):
        return str(between["min"])
    if between.get("step") is None:
        return requested
    least, step = quantity.to_int(between["min"]), quantity.to_int(between["step"])
    steps = -((least - quantity.to_int(requested)) // step)
    return quantity.binary(least + step * steps)


def _breaks(amount: Decimal, policy: Obj) -> bool:
    if not policy or (policy.get("default") is not None and amount == quantity.parse(policy["default"])):
        return False
    if policy.get("validRange") is not None:
        return _leaves(amount, policy["validRange"])
    values = policy.get("validValues")
    return bool(values) and all(amount != quantity.parse(value) for value in values or ())


def _leaves(amount: Decimal, between: Obj) -> bool:
    if between.get("max") is not None and amount > quantity.parse(between["max"]):
        return True
    if between.get("step") is None:
        return False
    return bool((quantity.to_int(str(amount)) - quantity.to_int(between["min"])) % quantity.to_int(between["step"]))
