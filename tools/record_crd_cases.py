"""Ask a running kube-apiserver again for the answers that `tests/apiserver/test_crd_cases.py` compares ours with.

    python tools/record_crd_cases.py --server https://127.0.0.1:6443 --token TOKEN --ca ca.crt

Each file of `tests/apiserver/crd_cases` is a story: requests that are sent one after the other, each with the answer that the real server
gave. A story makes definitions of a group of its own, and deletes them at its end. Between a write of a definition and the next request the
recorder waits until the server has taken notice. What differs between any two runs (uids, times, revisions) is left out.
"""

import argparse
import json
import pathlib
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

CASES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "apiserver" / "crd_cases"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields", "lastTransitionTime", "time")
NOTICE_SECONDS = 1.5
TOO_SOON = 429
"""What the real server says of a kind while it makes room for it."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--server", required=True, help="address, such as https://127.0.0.1:6443")
    arguments.add_argument("--token", required=True, help="bearer token of somebody who may do everything")
    arguments.add_argument("--ca", help="PEM file that its certificate is checked against")
    arguments.add_argument("--only", default="", help="part of the names of the stories to record")
    options = arguments.parse_args()
    server = Server(options.server.rstrip("/"), options.token, options.ca)
    for path in sorted(p for p in CASES.glob("*.json") if options.only in p.name):
        steps = json.loads(path.read_text())
        for step in steps:
            record(step, server)
        path.write_text("[\n" + ",\n".join(json.dumps(step, ensure_ascii=False) for step in steps) + "\n]\n")
        print(f"{path.name}: {len(steps)} requests")
        server.clean()


class Server:
    """A kube-apiserver to ask."""

    def __init__(self, address: str, token: str, ca: str | None) -> None:
        self.address = address
        self.token = token
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    def ask(self, step: dict[str, Any]) -> dict[str, Any]:
        body = step.get("text", "").encode() if "text" in step else json.dumps(step["body"]).encode() if "body" in step else None
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "test"}
        if body is not None:
            headers["Content-Type"] = step.get("type", "application/json")
        if "accept" in step:
            headers["Accept"] = step["accept"]
        request = urllib.request.Request(self.address + step["path"], method=step["verb"], data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:
                return shown(answer.status, answer.read(), answer.headers.get_all("Warning"))
        except urllib.error.HTTPError as error:
            return shown(error.code, error.read(), error.headers.get_all("Warning"))

    def clean(self) -> None:
        """Delete all definitions, with all that waits for somebody."""
        for crd in self.ask({"verb": "GET", "path": DEFINITIONS})["body"]["items"]:
            path = f"{DEFINITIONS}/{crd['metadata']['name']}"
            self.ask({"verb": "DELETE", "path": path})
        time.sleep(NOTICE_SECONDS)


def shown(code: int, body: bytes, warnings: list[str] | None) -> dict[str, Any]:
    try:
        found: Any = json.loads(body)
    except ValueError:
        found = body.decode()
    return {"code": code, "body": lasting(found), **({"warnings": warnings} if warnings else {})}


def lasting(value: Any) -> Any:
    """A value without what another run would not repeat."""
    if isinstance(value, dict):
        return {k: lasting(v) for k, v in value.items() if k not in VOLATILE}
    return [lasting(v) for v in value] if isinstance(value, list) else value


def record(step: dict[str, Any], server: Server) -> None:
    if "wait" in step:
        time.sleep(step["wait"])
        return
    step["want"] = server.ask(step)
    while step["want"]["code"] == TOO_SOON:
        time.sleep(NOTICE_SECONDS)
        step["want"] = server.ask(step)
    if step["path"].startswith(DEFINITIONS) and step["verb"] != "GET" and "dryRun" not in step["path"]:
        time.sleep(NOTICE_SECONDS)


if __name__ == "__main__":
    main()
