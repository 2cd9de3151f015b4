"""Make `src/lightship/apiserver/bootstrap/data/defaults.json`: the roles and bindings that a kube-apiserver makes at its first start.

    python tools/make_rbac_data.py --server https://127.0.0.1:6443 --token TOKEN --ca ca.crt

The server must be a fresh one: what is read is whatever carries the label of its defaults. What a controller has gathered into aggregated
roles is left out, and so is everything that all of them have in common.
"""

import argparse
import json
import pathlib
import ssl
import urllib.request
from typing import Any

TARGET = pathlib.Path(__file__).resolve().parent.parent / "src" / "lightship" / "apiserver" / "bootstrap" / "data" / "defaults.json"
PLURALS = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")
LABEL = "kubernetes.io/bootstrapping"
ANNOTATION = "rbac.authorization.kubernetes.io/autoupdate"
QUERY = f"labelSelector={LABEL}%3Drbac-defaults"


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--server", required=True, help="address, such as https://127.0.0.1:6443")
    arguments.add_argument("--token", required=True, help="bearer token of somebody who may list everything")
    arguments.add_argument("--ca", help="PEM file that its certificate is checked against")
    options = arguments.parse_args()
    tls = ssl.create_default_context(cafile=options.ca)
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    parts = []
    for plural in PLURALS:
        found = sorted(
            read(options.server.rstrip("/"), plural, options.token, tls), key=lambda o: (o["metadata"].get("namespace", ""), name(o))
        )
        lines = ",\n".join(json.dumps(bare(item), separators=(",", ":")) for item in found)
        parts.append(f'"{plural}":[\n{lines}\n]')
        print(f"{plural}: {len(found)}")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def read(server: str, plural: str, token: str, tls: ssl.SSLContext) -> list[dict[str, Any]]:
    address = f"{server}/apis/rbac.authorization.k8s.io/v1/{plural}?{QUERY}"
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"}), context=tls) as answer:
        items: list[dict[str, Any]] = json.load(answer)["items"]
        return items


def name(item: dict[str, Any]) -> str:
    found: str = item["metadata"]["name"]
    return found


def bare(item: dict[str, Any]) -> dict[str, Any]:
    """Name, namespace and labels of its own, and what it says."""
    meta = item["metadata"]
    if meta["annotations"] != {ANNOTATION: "true"}:
        raise SystemExit(f"{name(item)} has annotations that this script does not expect: {meta['annotations']}")
    labels = {key: value for key, value in meta["labels"].items() if key != LABEL}
    kept: dict[str, Any] = {field: meta[field] for field in ("name", "namespace") if field in meta}
    if labels:
        kept["labels"] = labels
    content = {field: item[field] for field in ("rules", "aggregationRule", "roleRef", "subjects") if item.get(field)}
    if "aggregationRule" in content:
        content.pop("rules", None)
    return {"metadata": kept, **content}


if __name__ == "__main__":
    main()
