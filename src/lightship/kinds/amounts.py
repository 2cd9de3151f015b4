"""Resource amounts as the API server writes them: strings in canonical form, nothing finer than a thousandth.

Called by the defaults of every kind with resource lists. Contract: apimachinery 1.36 resource.Quantity, kube SetDefaults_ResourceList.
"""

from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any

from lightship.meta import quantity

_MILLI = Decimal("0.001")


def canonical(amounts: dict[str, Any] | None) -> None:
    """Rewrite, in place, every amount of a resource list."""
    if amounts:
        for name, value in amounts.items():
            amounts[name] = rounded(str(value))


@lru_cache(maxsize=4096)
def rounded(amount: str) -> str:
    """One amount, rounded up to thousandths."""
    exact = quantity.parse(amount)
    milli = exact.quantize(_MILLI, ROUND_CEILING)
    return quantity.canonical(amount) if milli == exact else quantity.canonical(f"{milli}")
