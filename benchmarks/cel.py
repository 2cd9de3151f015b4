"""CEL: microseconds per evaluation and per compilation of typical rules, beside the same question asked in plain Python.

    python -m benchmarks.cel [--rounds 5]

An evaluation runs with a budget, as servers run it. The floor is a Python function that answers the same without types, costs or errors of
its own. Every figure is the mean of 20,000 runs, one per round. Bias: the same object each time, so everything is in the cache.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.report import Series, machine, table
from lightship import cel
from lightship.cel import library, types
from lightship.cel.types import Field, ListType, ObjectType, Type

TIMES, COMPILATIONS = 20_000, 200
_PORT = ObjectType("port", {"name": Field(types.STRING), "port": Field(types.INT)})
_SPEC = {"replicas": Field(types.INT), "minReplicas": Field(types.INT), "mode": Field(types.STRING), "ports": Field(ListType(_PORT))}
VARIABLES: Mapping[str, Type] = {"self": ObjectType("spec", _SPEC), "oldSelf": ObjectType("spec", _SPEC), "object": types.DYN}
SELF = {"replicas": 3, "minReplicas": 1, "mode": "Blue", "ports": [{"name": name, "port": 80} for name in ("a", "b", "c")]}
VALUES = {"self": SELF, "oldSelf": SELF, "object": {"spec": SELF, "metadata": {"labels": {"app": "x", "tier": "web"}}}}
RULES: Mapping[str, Callable[[Any], bool]] = {
    "self.minReplicas <= self.replicas": lambda v: v["self"]["minReplicas"] <= v["self"]["replicas"],
    "self.mode == oldSelf.mode": lambda v: v["self"]["mode"] == v["oldSelf"]["mode"],
    "!has(self.mode) || self.mode in ['Blue', 'Green']": lambda v: "mode" not in v["self"] or v["self"]["mode"] in {"Blue", "Green"},
    "self.ports.all(p, p.port > 0 && p.port < 65536)": lambda v: all(0 < p["port"] < 65536 for p in v["self"]["ports"]),
    "object.metadata.labels.exists(k, k == 'tier')": lambda v: any(k == "tier" for k in v["object"]["metadata"]["labels"]),
}


def clock(run: Callable[[], Any], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - began) / times * 1e6


def measure(rule: str, floor: Callable[[Any], bool], rounds: int) -> list[Series]:
    series = [Series(f"`{rule}`"), Series("… in plain Python"), Series("… compile")]
    program = cel.compile(rule, VARIABLES, libraries=library.KUBERNETES)
    assert program.evaluate(VALUES) is floor(VALUES)
    for _ in range(rounds):
        budget = cel.Budget(total=10**12, work=10**12)
        series[0].add(clock(lambda: program.evaluate(VALUES, budget), TIMES))  # noqa: B023 - called at once
        series[1].add(clock(lambda: floor(VALUES), TIMES))
        series[2].add(clock(lambda: cel.compile(rule, VARIABLES, libraries=library.KUBERNETES), COMPILATIONS))
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(machine())
    print(table([series for rule, floor in RULES.items() for series in measure(rule, floor, rounds)]))


if __name__ == "__main__":
    main()
