"""What an operator is installed with, as published, bent only as far as a program without a container needs.

`oracle/build manifests` renders the published kustomizations into `.oracle/manifests`; `installed` points the webhooks of one at a port of
this machine and leaves out what only a container could answer. Pure but for reading those files; knows nothing of Lightship.
"""

import base64
from pathlib import Path
from typing import Any

import yaml

Obj = dict[str, Any]

FOLDER = Path(__file__).resolve().parent.parent / ".oracle" / "manifests"
LEFT_OUT = frozenset({"Deployment", "APIService"})
WEBHOOKS = frozenset({"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"})
DEFINITION = "CustomResourceDefinition"


def missing(*names: str) -> list[str]:
    """Those of the files that are not there."""
    return [name for name in names if not (FOLDER / f"{name}.yaml").exists()]


def read(name: str) -> list[Obj]:
    """The objects of one file, in its order."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with (FOLDER / f"{name}.yaml").open("rb") as file:
        return [obj for obj in yaml.load_all(file, loader) if obj]


def installed(objects: list[Obj], port: int, authority: bytes) -> list[Obj]:
    """The objects without containers; webhooks and conversions at `https://127.0.0.1:port`, trusted by `authority` (PEM)."""
    kept = [obj for obj in objects if obj["kind"] not in LEFT_OUT]
    for obj in kept:
        for client in _clients(obj):
            _redirect(client, port, authority)
    return kept


def setting(objects: list[Obj]) -> Obj:
    """The configuration that a manager is shipped with, from its ConfigMap."""
    texts = [text for obj in objects if obj["kind"] == "ConfigMap" for text in obj["data"].values() if "kind: Configuration" in text]
    found: Obj = yaml.safe_load(texts[0])
    return found


def _clients(obj: Obj) -> list[Obj]:
    """Every clientConfig that an object holds."""
    if obj["kind"] in WEBHOOKS:
        return [hook["clientConfig"] for hook in obj["webhooks"]]
    conversion = obj["spec"].get("conversion", {}) if obj["kind"] == DEFINITION else {}
    return [conversion["webhook"]["clientConfig"]] if conversion.get("strategy") == "Webhook" else []


def _redirect(client: Obj, port: int, authority: bytes) -> None:
    service = client.pop("service")
    client["url"] = f"https://127.0.0.1:{port}{service.get('path', '')}"
    client["caBundle"] = base64.b64encode(authority).decode()
