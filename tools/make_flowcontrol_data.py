"""Make `src/lightship/kinds/data/flowcontrol.json` from a fresh kube-apiserver: what its priority and fairness starts with.

    python tools/make_flowcontrol_data.py --server https://127.0.0.1:6443 --token TOKEN --ca ca.crt

Keeps the specs of the objects that the server made itself (they say so in an annotation), by kind and name.
"""

import argparse
import json
import pathlib

from make_kinds_data import Server

TARGET = pathlib.Path(__file__).resolve().parent.parent / "src" / "lightship" / "kinds" / "data" / "flowcontrol.json"
UPDATED = "apf.kubernetes.io/autoupdate-spec"
KINDS = {"PriorityLevelConfiguration": "prioritylevelconfigurations", "FlowSchema": "flowschemas"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--server", required=True, help="address, such as https://127.0.0.1:6443")
    arguments.add_argument("--token", required=True, help="bearer token of somebody who may list everything")
    arguments.add_argument("--ca", help="PEM file that its certificate is checked against")
    options = arguments.parse_args()
    server = Server(options.server, options.token, options.ca)
    found = {}
    for kind, plural in KINDS.items():
        items = server.get(f"/apis/flowcontrol.apiserver.k8s.io/v1/{plural}")["items"]
        own = [item for item in items if UPDATED in item["metadata"].get("annotations", {})]
        found[kind] = {item["metadata"]["name"]: item["spec"] for item in own}
    TARGET.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{TARGET}: {', '.join(f'{len(found[kind])} {kind}s' for kind in KINDS)}")


if __name__ == "__main__":
    main()
