#!/usr/bin/env python3
"""Make `data/runtimes.json`, which a platform reads at its first start, of the YAML files that people read.

python tools/make_runtimes.py          # after every change of src/lightship/train/data/runtimes/*.yaml; a test compares
"""

import json
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).resolve().parent.parent / "src" / "lightship" / "train" / "data"


def made() -> dict[str, Any]:
    """The runtimes by name."""
    files = sorted((DATA / "runtimes").glob("*.yaml"), key=lambda file: file.stem)
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


if __name__ == "__main__":
    (DATA / "runtimes.json").write_text(json.dumps(made(), separators=(",", ":")) + "\n", encoding="utf-8")
