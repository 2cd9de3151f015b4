"""Ask a running kube-apiserver again for the answers that `tests/kinds/cases/*.json` compares our kinds with.

    python tools/record_kinds_cases.py --server https://127.0.0.1:6443 --token TOKEN --ca ca.crt

Every object of every case is created with `dryRun=All` and strict field validation, and the case gets the answer: the causes it was
refused for, or the object as it would be stored. A case with `old` is an update: `old` is created, changed to `object` (its `part` when it
names a subresource; with `change`: what was stored, with that merged into it) with `dryRun=All`, and deleted. Nothing is left on the
server. What `ours` says of a case is kept; run the tests after.
The server must run without the ServiceAccount admission plugin, which would mount tokens into the pods, and with the addresses of Services
in 10.96.0.0/16. What it allocates at random is recorded as 10.96.0.0 and 30000.
"""

import argparse
import datetime
import functools
import json
import pathlib
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

CASES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "kinds" / "cases"
FACTS = CASES.parent.parent.parent / "src" / "lightship" / "kinds" / "data" / "resources.json"
NOW = "2023-11-14T22:13:20Z"
"""What the tests' clock shows."""
WARNING = re.compile(r'^299 - "(.*)"$')
UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GO = re.compile(r'(value: )\[?\{.*"[A-Z][A-Za-z]+":.*\}\]?(?=: |$)', re.DOTALL)
"""Values printed by the names of Go's fields: recorded as {…}."""
OTHERS = {"Pod": ("priority", "preemptionPolicy")}
"""What admission adds to a spec: no business of the kinds."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--server", required=True, help="address, such as https://127.0.0.1:6443")
    arguments.add_argument("--token", required=True, help="bearer token of somebody who may create everything")
    arguments.add_argument("--ca", help="PEM file that its certificate is checked against")
    arguments.add_argument("--only", default="", help="part of the names of the files to record")
    options = arguments.parse_args()
    server = Server(options.server.rstrip("/"), options.token, options.ca)
    for path in sorted(p for p in CASES.glob("*.json") if options.only in p.name):
        cases = json.loads(path.read_text())
        for case in cases:
            ours = case.pop("ours", None)
            record(case, path.stem.rpartition("_")[2], server)
            if ours is not None:
                case["ours"] = ours
        path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
        print(f"{path.name}: {len(cases)} cases, {sum('ours' in case for case in cases)} of them knowingly different")


class Server:
    """A kube-apiserver to ask."""

    def __init__(self, address: str, token: str, ca: str | None) -> None:
        self.address = address
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.warnings: list[str] = []
        """What came with the last answer."""
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {**self.headers, "Content-Type": kind}
        request = urllib.request.Request(self.address + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:
                self.warnings = [WARNING.sub(r"\1", text).replace('\\"', '"') for text in answer.headers.get_all("Warning") or ()]
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def url(obj: dict[str, Any], plural: str) -> str:
    version = obj["apiVersion"]
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = "/namespaces/default" if namespaced(f"{version}/{plural}") else ""
    return f"{prefix}{scope}/{plural}"


@functools.cache
def namespaced(identity: str) -> bool:
    return bool(json.loads(FACTS.read_text())[identity]["namespaced"])


def record(case: dict[str, Any], plural: str, server: Server) -> None:
    obj, dry = case["object"], "?dryRun=All&fieldValidation=Strict"
    if "old" not in case:
        code, text = server.send("POST", url(obj, plural) + dry, obj)
        note(case, code, text, server.warnings)
        return
    path = f"{url(case['old'], plural)}/{case['old']['metadata']['name']}"
    code, text = server.send("POST", url(case["old"], plural) + "?fieldValidation=Strict", case["old"])
    if code != 201:
        raise SystemExit(f"{plural}: what should be updated is refused: {text}")
    if "status" in case["old"]:
        server.send("PUT", f"{path}/status", {**json.loads(text), "status": case["old"]["status"]})
    target = path.replace(f"/{case['old']['apiVersion']}/", f"/{obj['apiVersion']}/")
    if "change" in case:
        obj = merged(json.loads(server.send("GET", target)[1]), case["change"])
    part = f"/{case['part']}" if case.get("part") else ""
    code, text = server.send("PUT", target + part + dry, obj)
    note(case, code, text, server.warnings)
    server.send("PATCH", path, {"metadata": {"finalizers": None}})
    server.send("DELETE", path + "?gracePeriodSeconds=0&propagationPolicy=Background")


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        found.pop(key, None)
        if value is not None:
            found[key] = merged(target.get(key) if isinstance(target, dict) else None, value)
    return found


def note(case: dict[str, Any], code: int, text: str, warnings: list[str]) -> None:
    answer = json.loads(UID.sub("UID", text))
    for field in ("refused", "stored", "generation", "warnings"):
        case.pop(field, None)
    if code >= 400:
        asked = json.dumps([case["object"], case.get("old")])
        case["refused"] = [without_allocated(line, asked) for line in refusals(answer)]
        return
    answer = json.loads(without_allocated(json.dumps(answer), json.dumps([case["object"], case.get("old")])))
    for field in OTHERS.get(answer["kind"], ()):
        answer["spec"].pop(field, None)
    if warnings:
        case["warnings"] = warnings
    case["stored"] = {k: v for k, v in answer.items() if k not in ("apiVersion", "kind", "metadata")}
    if "old" in case and "generation" in answer["metadata"]:
        case["generation"] = answer["metadata"]["generation"]


def without_allocated(text: str, asked: str) -> str:
    """An answer without the addresses, ports and times that nobody asked for."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = re.sub(rf"{today}T[0-9:.]+Z", lambda found: found[0] if found[0] in asked else NOW, text)
    text = re.sub(r"10\.96\.\d+\.\d+", lambda found: found[0] if f'"{found[0]}"' in asked else "10.96.0.0", text)
    return re.sub(r"\b3[0-2]\d{3}\b", lambda found: found[0] if found[0] in asked else "30000", text)


def refusals(status: dict[str, Any]) -> list[str]:
    causes = status.get("details", {}).get("causes")
    if causes and status["code"] != 500:
        return [GO.sub(r"\1{…}", f"{cause['field']}: {cause['message']}") for cause in causes]
    message: str = status["message"]
    return [re.sub(r"^.* cannot be handled as a \w+: ", "", message)]


if __name__ == "__main__":
    main()
