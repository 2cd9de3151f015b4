#!/usr/bin/env python3
"""Write the OpenAPI schemas of the Trainer kinds as small package data: src/lightship/train/data/{trainjob,runtime}.json.

Usage: make_trainer_schema.py CRDS.json, a file with the published CustomResourceDefinitions under `crds`.

The published schemas inline PodSpec and JobSetSpec many times over. Prose is dropped and every subtree that occurs more than once is
stored once, under `shared`, and referred to by its index; `train.api.schemas` puts the very same schema together again on load, with
equal parts being one object in memory. Nothing else is changed, so what we serve and what `install` gives a cluster is upstream's.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "src" / "lightship" / "train" / "data"
WORTH_SHARING = 60
"""Subtrees shorter than this many characters of JSON are cheaper inline."""
FILES = {"TrainJob": "trainjob.json", "TrainingRuntime": "runtime.json", "ClusterTrainingRuntime": "runtime.json"}


def text(node: Any) -> str:
    return json.dumps(node, sort_keys=True, separators=(",", ":"))


def without_prose(node: Any, *, names: bool = False) -> Any:
    """Drop `description` keys, except where the keys are property names."""
    if isinstance(node, dict):
        return {k: without_prose(v, names=k == "properties" and not names) for k, v in node.items() if names or k != "description"}
    if isinstance(node, list):
        return [without_prose(v) for v in node]
    return node


def count(node: Any, seen: Counter[str]) -> None:
    if isinstance(node, dict):
        found = text(node)
        if len(found) >= WORTH_SHARING:
            seen[found] += 1
            if seen[found] > 1:
                return  # its parts are shared along with it
        for value in node.values():
            count(value, seen)


def share(node: Any, repeated: set[str], index: dict[str, int], shared: list[Any]) -> Any:
    """Replace repeated subtrees by `{"$shared": i}`, innermost first, so that `shared[i]` only refers to smaller indices."""
    if not isinstance(node, dict):
        return node
    found = text(node)
    if found in index:
        return {"$shared": index[found]}
    small = {k: share(v, repeated, index, shared) for k, v in node.items()}
    if found not in repeated:
        return small
    index[found] = len(shared)
    shared.append(small)
    return {"$shared": index[found]}


def pack(schema: Any) -> dict[str, Any]:
    seen: Counter[str] = Counter()
    count(schema, seen)
    shared: list[Any] = []
    packed = share(schema, {k for k, n in seen.items() if n > 1}, {}, shared)
    return {"shared": shared, "schema": packed}


def main(path: str) -> None:
    done: dict[str, Any] = {}
    for crd in json.loads(Path(path).read_text())["crds"]:
        file = FILES.get(crd["spec"]["names"]["kind"])
        if not file:
            continue
        schema = without_prose(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        if done.setdefault(file, schema) != schema:
            raise SystemExit(f"{file}: kinds that should have one schema have two; give {crd['spec']['names']['kind']} a file of its own")
        packed = pack(schema)
        # The default of sshAuthMountPath is a path in a container; escaped, nobody takes it for one of this machine.
        (TARGET / file).write_text(text(packed).replace("root/", "root\\/") + "\n")
        print(f"{file}: {len(text(schema))} -> {len(text(packed))} characters, {len(packed['shared'])} shared parts")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
