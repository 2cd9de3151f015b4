"""Numbers that are counts or percentages of something, as users give them for rollouts and budgets.

Pure; called by the controllers of Deployments, DaemonSets and disruption budgets. Whether one is well formed is the server's business.
Contract: apimachinery intstr.GetScaledValueFromIntOrPercent.
"""

import math
from typing import Any


def scaled(value: Any, of: int, *, up: bool) -> int:
    """A count, or a percentage of `of` rounded up or down."""
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * of
        return math.ceil(share / 100) if up else share // 100
    return int(value or 0)
