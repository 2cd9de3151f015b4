"""CEL expressions that select devices: whether they compile, and what they may cost.

Loaded by `checks` when the first selector comes. Evaluating them is a scheduler's matter: `selector` makes the program for it.
Contract: k8s.io/dynamic-resource-allocation 0.36 cel/compile.go with consumable capacity, without list attributes.
"""

from functools import lru_cache

from lightship import cel
from lightship.cel.library import KUBERNETES
from lightship.cel.library.quantity import QUANTITY
from lightship.cel.standard import BINDINGS
from lightship.cel.types import BOOL, STRING, Field, Kind, MapType, ObjectType, Type

COST_LIMIT = 1_000_000
_ANY = Type(Kind.DYN, "any")
"""What an attribute is before it is looked at; `dyn(x)` is of another type."""
_DOMAIN, _IDENTIFIER, _DRIVER, _VALUE, _ENTRIES = 63, 32, 63, 64, 32


def _by_name(value: Type) -> MapType:
    """Domain → identifier → value, as attributes and capacities are looked up."""
    inner = MapType(STRING.bounded(_IDENTIFIER), value, bound=_ENTRIES)
    return MapType(STRING.bounded(_DOMAIN), inner, bound=_ENTRIES)


DEVICE = ObjectType(
    "kubernetes.DRADevice",
    {
        "driver": Field(STRING.bounded(_DRIVER)),
        "allowMultipleAllocations": Field(BOOL),
        "attributes": Field(_by_name(_ANY.bounded(_VALUE))),
        "capacity": Field(_by_name(QUANTITY)),
    },
)
_LIBRARIES = (*KUBERNETES, BINDINGS)


@lru_cache(maxsize=512)
def selector(expression: str) -> "cel.Program":
    """Raises `cel.CelError` for what does not compile to a bool."""
    return cel.compile(expression, {"device": DEVICE}, libraries=_LIBRARIES)


@lru_cache(maxsize=512)
def problem(expression: str) -> tuple[str, bool]:
    """(what is wrong with an expression, or nothing; whether it costs too much)."""
    try:
        found = selector(expression)
    except cel.ProgramError as error:
        return f"program instantiation failed: {error}", False
    except cel.CelError as error:
        return f"compilation failed: {error}", False
    if found.result != BOOL and found.result != _ANY:
        return f"must evaluate to bool or the unknown type, not {found.result}", False
    return "", found.estimate()[1] > COST_LIMIT
