"""What a user does and what must hold then, whoever the programs are: written once, played in every world."""

from collections.abc import Awaitable, Callable
from types import ModuleType

from tests.pairings.scenarios import housekeeping, jobs, scheduling, training, workloads
from tests.pairings.user import User

Scenario = Callable[[User], Awaitable[None]]


def _of(module: ModuleType) -> dict[str, Scenario]:
    """Every public coroutine function that a module defines."""
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    return {f"{module.__name__.rpartition('.')[2]}.{name}": value for name, value in own.items() if not name.startswith("_")}


NAMES: dict[str, Scenario] = {
    name: scenario for module in (workloads, jobs, housekeeping, scheduling, training) for name, scenario in _of(module).items()
}
