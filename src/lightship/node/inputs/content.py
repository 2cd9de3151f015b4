"""The files that API-backed volumes show: configMap, secret, downwardAPI, projected.

Pure: everything a volume refers to was fetched before. `volumes` writes the result to disk, again whenever a source changes.
Contract: Pod spec volume sources; kubelet's texts for what is missing.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import downward, sources
from .atomic import File
from .ownership import NOBODY_IN_PARTICULAR, Owner
from .sources import Found, MissingError, Ref

DEFAULT_MODE = 0o644
API_BACKED = ("configMap", "secret", "downwardAPI", "projected")
TOKEN_SECONDS = 3600


class TokenRequest(NamedTuple):
    """A service account token that a projected volume asks for."""

    audience: str
    seconds: int


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the content of a pod's volumes may depend on."""

    pod: Obj
    found: Found
    tokens: Mapping[TokenRequest, str]
    host_ip: str
    pod_ip: str
    allocatable: Mapping[str, str]
    refused: Mapping[TokenRequest, str] = {}
    """Why a token is not to be had."""
    owner: Owner = NOBODY_IN_PARTICULAR


def files(volume: Obj, inputs: Inputs) -> dict[str, File]:
    """Relative path → file of one API-backed volume. Raises `MissingError`."""
    if volume.get("projected") is None:
        source = next(volume[kind] for kind in API_BACKED if volume.get(kind) is not None)
        return _of_source(volume, _mode(source, "defaultMode", DEFAULT_MODE), inputs)
    projected = volume["projected"]
    mode = _mode(projected, "defaultMode", DEFAULT_MODE)
    merged: dict[str, File] = {}
    missing = []
    for source in projected.get("sources") or ():
        try:
            merged.update(_of_source(source, mode, inputs))
        except MissingError as error:
            missing.append(str(error))
    if missing:
        raise MissingError(missing[0] if len(missing) == 1 else f"[{', '.join(dict.fromkeys(missing))}]")
    return merged


def _mode(source: Obj, field: str, default: int) -> int:
    """0 is a mode like any other."""
    found = source.get(field)
    return default if found is None else int(found)


def token_requests(pod: Obj) -> set[TokenRequest]:
    """The tokens that must be fetched before a pod's volumes can be written."""
    return {
        _token_request(source["serviceAccountToken"])
        for volume in objects.spec(pod).get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if source.get("serviceAccountToken") is not None
    }


def _token_request(source: Obj) -> TokenRequest:
    return TokenRequest(source.get("audience") or "", int(source.get("expirationSeconds") or TOKEN_SECONDS))


def _of_source(source: Obj, mode: int, inputs: Inputs) -> dict[str, File]:
    if source.get("configMap") is not None:
        return _keys(Ref("ConfigMap", source["configMap"].get("name", "")), source["configMap"], mode, inputs)
    if source.get("secret") is not None:
        secret = source["secret"]
        return _keys(Ref("Secret", secret.get("secretName") or secret.get("name", "")), secret, mode, inputs)
    if source.get("downwardAPI") is not None:
        return {
            os.path.normpath(item["path"]): File(_downward(item, inputs), _mode(item, "mode", mode))
            for item in source["downwardAPI"].get("items") or ()
        }
    if source.get("serviceAccountToken") is not None:
        return {source["serviceAccountToken"]["path"]: _token(source["serviceAccountToken"], mode, inputs)}
    raise MissingError(f"projections of type {', '.join(source)} are not supported by this node: use a configMap or secret")


def _token(source: Obj, mode: int, inputs: Inputs) -> File:
    """For the one user or the group of the pod only, where there is such a one; the group's right to read comes with the volume's."""
    request = _token_request(source)
    if request not in inputs.tokens:
        raise MissingError(inputs.refused.get(request, "failed to fetch token"))
    owned = inputs.owner != NOBODY_IN_PARTICULAR
    return File(inputs.tokens[request].encode(), 0o600 if owned else mode, inputs.owner.uid)


def _keys(ref: Ref, source: Obj, mode: int, inputs: Inputs) -> dict[str, File]:
    optional = bool(source.get("optional"))
    if optional and inputs.found.get(ref) is None:
        return {}
    data = sources.contents(ref, sources.find(inputs.found, ref))
    items = source.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    chosen = {}
    for item in items:
        if item["key"] in data:
            chosen[item["path"]] = File(data[item["key"]], _mode(item, "mode", mode))
        elif not optional:
            words = "references non-existent secret key" if ref.kind == "Secret" else "configmap references non-existent config key"
            raise MissingError(f"{words}: {item['key']}")
    return chosen


def _downward(item: Obj, inputs: Inputs) -> bytes:
    try:
        if item.get("fieldRef"):
            text = downward.field(inputs.pod, item["fieldRef"].get("fieldPath", ""), host_ip=inputs.host_ip, pod_ip=inputs.pod_ip)
        else:
            selector = item.get("resourceFieldRef") or {}
            text = downward.resource(inputs.pod, selector.get("containerName", ""), selector, inputs.allocatable)
    except ValueError as error:
        raise MissingError(str(error)) from error
    return text.encode()
