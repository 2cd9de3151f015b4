"""Make the OpenAPI schemas of LeaderWorkerSet and DisaggregatedSet in `builtin/data` from their CustomResourceDefinitions.

    python tools/make_leaderworkerset_schema.py CRDS.json

Reads an object with a list of definitions under `crds`. Takes out prose, and refers to the schemas of the built-in kinds for pods and
claims, which a CRD must repeat; of their metadata only what the definitions know is kept.
"""

import json
import sys
from pathlib import Path
from typing import Any

from make_jobset_schema import strip

TARGET = Path(__file__).parent.parent / "src/lightship/builtin/data"
KINDS = ("LeaderWorkerSet", "DisaggregatedSet")
CORE = "#/components/schemas/io.k8s.api.core.v1."


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    document = json.loads(Path(arguments[0]).read_text())
    for crd in document["crds"]:
        kind = crd["spec"]["names"]["kind"]
        if kind in KINDS:
            schema = refer(strip(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
            target = TARGET / f"{kind.lower()}.json"
            target.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
            print(f"{target}: {target.stat().st_size} bytes")
    return 0


def refer(value: Any, field: str = "") -> Any:
    """With references instead of what is written out of pods and claims."""
    if isinstance(value, list):
        return [refer(item) for item in value]
    if not isinstance(value, dict):
        return value
    if field in ("leaderTemplate", "workerTemplate"):
        return _parts(value, spec="PodSpec")
    if field == "networkConfig":
        # Upstream's webhook fills in what is required; `leaderworkerset.rules` does, where nobody has looked at the schema again.
        return {k: v for k, v in value.items() if k != "required"}
    if field == "volumeClaimTemplates":
        return {**value, "items": _parts(value["items"], spec="PersistentVolumeClaimSpec", status="PersistentVolumeClaimStatus")}
    return {k: {n: refer(p, n) for n, p in v.items()} if k == "properties" else refer(v) for k, v in value.items()}


def _parts(schema: Any, **kinds: str) -> Any:
    referred = {field: {"$ref": CORE + kind} for field, kind in kinds.items()}
    return {**schema, "properties": {**schema["properties"], **referred}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
