"""Make `builtin/data/jobset.json`, the OpenAPI schema of JobSet, from its CustomResourceDefinition.

    python tools/make_jobset_schema.py CRD.json [src/lightship/builtin/data/jobset.json]

Reads a CustomResourceDefinition, or an object with a list of them under `crds`. Takes out prose, and refers to the schemas of the built-in
kinds for job templates and volume claims, which a CRD must repeat. CEL rules stay for servers that evaluate them (ours goes by
`builtin.jobset.changes`).
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/lightship/builtin/data/jobset.json"
JOB_TEMPLATE = {
    "type": "object",
    "properties": {
        "metadata": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
        "spec": {"$ref": "#/components/schemas/io.k8s.api.batch.v1.JobSpec"},
    },
}
VOLUME_CLAIM = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
        "spec": {"$ref": "#/components/schemas/io.k8s.api.core.v1.PersistentVolumeClaimSpec"},
        "status": {"$ref": "#/components/schemas/io.k8s.api.core.v1.PersistentVolumeClaimStatus"},
    },
}
DROPPED = ("description",)


def main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    target = Path(arguments[1]) if len(arguments) == 2 else TARGET
    schema = make(json.loads(Path(arguments[0]).read_text()))
    target.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    print(f"{target}: {target.stat().st_size} bytes")
    return 0


def make(document: dict[str, Any]) -> dict[str, Any]:
    """The schema of jobset.x-k8s.io/v1alpha2. Raises `ValueError` when the document holds no such definition."""
    schema: dict[str, Any] = strip(_version(document, "v1alpha2")["schema"]["openAPIV3Schema"])
    spec = schema["properties"]["spec"]["properties"]
    spec["replicatedJobs"]["items"]["properties"]["template"] = JOB_TEMPLATE
    if claims := spec.get("volumeClaimPolicies"):
        claims["items"]["properties"]["templates"]["items"] = VOLUME_CLAIM
    return schema


def strip(value: Any) -> Any:
    """Without prose. The values of `properties` are names chosen by the API, so nothing is dropped there."""
    if isinstance(value, list):
        return [strip(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if k not in DROPPED or not isinstance(v, str | list)}
    return {k: {n: strip(p) for n, p in v.items()} if k == "properties" else strip(v) for k, v in kept.items()}


def _version(document: dict[str, Any], name: str) -> dict[str, Any]:
    for crd in document.get("crds") or [document]:
        if crd.get("spec", {}).get("names", {}).get("kind") == "JobSet":
            for version in crd["spec"]["versions"]:
                if version["name"] == name:
                    found: dict[str, Any] = version
                    return found
    raise ValueError(f"no JobSet {name} in the document; give the CustomResourceDefinition jobsets.jobset.x-k8s.io as JSON")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
