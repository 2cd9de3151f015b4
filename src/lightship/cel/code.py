"""What a compiled part of an expression is: a closure over a frame, and what running it costs.

Called by the modules of the compiler (`compiler.py`, `access.py`, `operators.py`, `folds.py`, `calls.py`).

A frame is a list: what was spent so far, how much may be spent, how much work without a price is left, then the variables. Costs that are
the same each time are added up while compiling and charged where control flow branches: at the start, at the second operand of `&&`, per
turn of a loop. Costs that depend on values are charged when the values are there. So the sum is what cel-go counts, step by step, while
most steps here count nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightship.cel.errors import CostExceeded

Frame = list[Any]
Run = Callable[[Frame], Any]
SPENT, LIMIT, WORK, FIRST = 0, 1, 2, 3


@dataclass(slots=True)
class Code:
    """`cost` is charged by whoever runs `run`, and `own` is the part of it that is not charged where cel-go only looks the value up
    (the branches of `?:`, indices). `attribute`: whether cel-go treats it as a look-up, to which more selections belong.

    `path` is (slot, keys) of a plain look-up such as `self.spec.replicas`, which larger look-ups absorb.
    """

    run: Run
    cost: int = 0
    own: int = 0
    attribute: bool = False
    constant: bool = False
    value: Any = None
    path: tuple[int, tuple[str, ...]] | None = None

    @property
    def branch_cost(self) -> int:
        """What is charged where the value is only looked up."""
        return self.cost - self.own if self.attribute else self.cost


def constant(value: Any) -> Code:
    return Code(lambda frame: value, constant=True, value=value)


def charge(frame: Frame, amount: int) -> None:
    """Spend, and stop where that is too much."""
    frame[SPENT] += amount
    if frame[SPENT] > frame[LIMIT]:
        raise CostExceeded


def labour(frame: Frame, amount: int) -> None:
    """Do work that CEL's prices ignore (comparing deep objects, joining long lists), within bounds all the same."""
    frame[WORK] -= amount
    if frame[WORK] < 0:
        raise CostExceeded
