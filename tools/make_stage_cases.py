"""Make tests/emulation/stages.json of the stage sets that kwok ships and of its tests of them: data only.

    python tools/make_stage_cases.py $(go env GOMODCACHE)/sigs.k8s.io/kwok@v0.8.0

`sets`: the Stages by the folder that they are in; `cases`: an object, the folder whose Stages it meets, and what kwok says they do to it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent.parent


class _Loader(yaml.SafeLoader):
    """Dates are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(path: Path) -> list[Any]:
    return [found for found in yaml.load_all(path.read_text(), Loader=_Loader) if found]


def main(module: str) -> None:
    root = Path(module) / "kustomize" / "stage"
    sets: dict[str, list[Any]] = {}
    for path in sorted(root.glob("*/*/*.yaml")):
        sets.setdefault(str(path.parent.relative_to(root)), []).extend(found for found in documents(path) if found.get("kind") == "Stage")
    cases = []
    for path in sorted(root.glob("*/*/testdata/*.input.yaml")):
        (given,) = documents(path)
        (wanted,) = documents(path.with_name(path.name.replace(".input.", ".output.")))
        folder = str(path.parent.parent.relative_to(root))
        cases.append({"set": folder, "name": path.name.removesuffix(".input.yaml"), "input": given, "output": wanted})
    found = {"sets": {name: stages for name, stages in sets.items() if stages}, "cases": cases}
    (HERE / "tests" / "emulation" / "stages.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
