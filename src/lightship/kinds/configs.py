"""The rules of ConfigMaps and Secrets: keys, sizes, types, immutability.

Called by the server through `kinds.CONFIG_MAPS` and `kinds.SECRETS`. Refuses to know who mounts them.
Contract: kube 1.36 pkg/apis/core validation; texts as kube-apiserver's.
"""

import base64
import binascii
from typing import Any

from lightship.meta import codec, errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import cells, checking

SIZE_LIMIT = 1024 * 1024
_ENFORCE = "kubernetes.io/enforce-mountable-secrets"
_ACCOUNT = "kubernetes.io/service-account.name"
_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
"""Keys that Secrets of these types must have."""


def prepare_account(account: Obj, old: Obj | None) -> None:
    """Of the secrets that a ServiceAccount names only the name counts."""
    if account.get("secrets"):
        account["secrets"] = [{"name": secret["name"]} if secret.get("name") else {} for secret in account["secrets"]]


def warn_of_account(account: Obj, old: Obj | None) -> list[str]:
    if _ENFORCE in objects.annotations(account) and _ENFORCE not in objects.annotations(old or {}):
        why = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        return [f"metadata.annotations[{_ENFORCE}]: {why}"]
    return []


def default_secret(secret: Obj) -> None:
    """Opaque unless it says otherwise; `stringData` is written over `data`, and never stored."""
    if not secret.get("type"):
        secret["type"] = "Opaque"
    plain = secret.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def validate_secret(secret: Obj, old: Obj | None) -> list[Cause]:
    data = secret.get("data") or {}
    causes: list[Cause] = []
    if old is not None:
        causes += checking.immutable("type", secret.get("type"), old.get("type"))
        causes += _check_immutable(secret, old, ("data",))
    causes += _check_keys("data", data)
    if sum(len(value) * 3 // 4 for value in data.values()) > SIZE_LIMIT:
        causes.append(errors.too_long("data", SIZE_LIMIT))
    return causes + _check_type(secret, data)


def _check_type(secret: Obj, data: dict[str, str]) -> list[Cause]:
    kind = secret.get("type") or ""
    causes = [errors.required(f"data[{key}]") for key in _KEYS.get(kind, ()) if key not in data]
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        causes += [errors.required(f"data[{key}]") for key in ("username", "password")]
    if kind == "kubernetes.io/service-account-token" and not objects.annotations(secret).get(_ACCOUNT):
        causes.append(errors.required(f"metadata.annotations[{_ACCOUNT}]"))
    if kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"):
        key = _KEYS[kind][0]
        if key in data and not _is_json(data[key]):
            causes.append(errors.invalid_value(f"data[{key}]", "<secret contents redacted>", "must be JSON in base64"))
    return causes


def _is_json(encoded: str) -> bool:
    try:
        codec.decode(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error):
        return False
    return True


def validate_config_map(config_map: Obj, old: Obj | None) -> list[Cause]:
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    causes = [] if old is None else _check_immutable(config_map, old, ("data", "binaryData"))
    for key in data:
        causes += checking.check_name(f"data[{key}]", key, "config-key")
        if key in binary:
            causes.append(errors.invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
    causes += _check_keys("binaryData", binary)
    if sum(map(len, data.values())) + sum(len(value) * 3 // 4 for value in binary.values()) > SIZE_LIMIT:
        causes.append(errors.too_long("[]", SIZE_LIMIT))
    return causes


def _check_keys(path: str, data: dict[str, str]) -> list[Cause]:
    return [c for key in data for c in checking.check_name(f"{path}[{key}]", key, "config-key")]


def _check_immutable(new: Obj, old: Obj, fields: tuple[str, ...]) -> list[Cause]:
    """An object that was made immutable stays so, and as it is."""
    if not old.get("immutable"):
        return []
    changed = [field for field in fields if (new.get(field) or {}) != (old.get(field) or {})]
    if not new.get("immutable"):
        changed.insert(0, "immutable")
    return [errors.forbidden_field(field, "field is immutable when `immutable` is set") for field in changed]


def config_map_row(config_map: Obj, now: float) -> list[Any]:
    count = len(config_map.get("data") or ()) + len(config_map.get("binaryData") or ())
    return [objects.name(config_map), count, cells.created(config_map, now)]


def secret_row(secret: Obj, now: float) -> list[Any]:
    return [objects.name(secret), secret.get("type") or "", len(secret.get("data") or ()), cells.created(secret, now)]
