"""Ask a running kube-apiserver again for the answers that `tests/kinds/cases/*.json` compares our kinds with.

    python tools/record_kinds_cases.py --server https://127.0.0.1:6443 --token TOKEN --ca ca.crt

Every object of every case is created with `dryRun=All` and strict field validation, and the case gets the answer: the causes it was
refused for, or the object as it would be stored. Nothing is left on the server. What `ours` says of a case is kept; run the tests after.
The server must run without the ServiceAccount admission plugin, which would mount tokens into the pods.
"""

import argparse
import json
import pathlib
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

CASES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "kinds" / "cases"
CLUSTER_SCOPED = {"namespaces", "nodes", "persistentvolumes", "priorityclasses", "storageclasses", "customresourcedefinitions"}
UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OTHERS = {"Pod": ("priority", "preemptionPolicy")}
"""What admission adds to a spec: no business of the kinds."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--server", required=True, help="address, such as https://127.0.0.1:6443")
    arguments.add_argument("--token", required=True, help="bearer token of somebody who may create everything")
    arguments.add_argument("--ca", help="PEM file that its certificate is checked against")
    options = arguments.parse_args()
    tls = ssl.create_default_context(cafile=options.ca)
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for path in sorted(CASES.glob("*.json")):
        cases = json.loads(path.read_text())
        for case in cases:
            record(case, options.server.rstrip("/") + url(case["object"], path.stem.rpartition("_")[2]), options.token, tls)
        path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
        print(f"{path.name}: {len(cases)} cases, {sum('ours' in case for case in cases)} of them knowingly different")


def url(obj: dict[str, Any], plural: str) -> str:
    version = obj["apiVersion"]
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = "" if plural in CLUSTER_SCOPED else "/namespaces/default"
    return f"{prefix}{scope}/{plural}?dryRun=All&fieldValidation=Strict"


def record(case: dict[str, Any], address: str, token: str, tls: ssl.SSLContext) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, method="POST", data=json.dumps(case["object"]).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, context=tls) as answer:
            stored = json.loads(UID.sub("UID", answer.read().decode()))
    except urllib.error.HTTPError as error:
        case.pop("stored", None)
        case["refused"] = refusals(json.loads(UID.sub("UID", error.read().decode())))
        return
    case.pop("refused", None)
    for field in OTHERS.get(stored["kind"], ()):
        stored["spec"].pop(field, None)
    case["stored"] = {k: v for k, v in stored.items() if k not in ("apiVersion", "kind", "metadata")}


def refusals(status: dict[str, Any]) -> list[str]:
    causes = status.get("details", {}).get("causes")
    if causes:
        return [f"{cause['field']}: {cause['message']}" for cause in causes]
    message: str = status["message"]
    return [re.sub(r"^.* cannot be handled as a \w+: ", "", message)]


if __name__ == "__main__":
    main()
