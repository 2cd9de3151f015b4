"""References of a pod to ConfigMaps and Secrets: which it needs, and what was found.

The agent collects the references of a container or a volume, fetches the objects, and hands `Found` to the pure resolvers (`env`,
`volumes`). Nothing here talks to the API.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from lightship.meta import objects
from lightship.meta.objects import Obj


class Ref(NamedTuple):
    """A ConfigMap or Secret in the pod's own namespace."""

    kind: Literal["ConfigMap", "Secret"]
    name: str


Found: TypeAlias = Mapping[Ref, Obj | None]
"""What the API has for each reference; None when there is no such object."""


class MissingError(Exception):
    """A reference that cannot be resolved, in the kubelet's words; trying again later may help."""


def of_container(container: Obj) -> Iterator[Ref]:
    """What a container's environment refers to."""
    for source in container.get("envFrom") or ():
        if "configMapRef" in source:
            yield Ref("ConfigMap", source["configMapRef"].get("name", ""))
        if "secretRef" in source:
            yield Ref("Secret", source["secretRef"].get("name", ""))
    for entry in container.get("env") or ():
        value_from = entry.get("valueFrom") or {}
        if "configMapKeyRef" in value_from:
            yield Ref("ConfigMap", value_from["configMapKeyRef"].get("name", ""))
        if "secretKeyRef" in value_from:
            yield Ref("Secret", value_from["secretKeyRef"].get("name", ""))


def of_volumes(pod: Obj) -> Iterator[Ref]:
    """What a pod's volumes show."""
    for volume in objects.spec(pod).get("volumes") or ():
        yield from _of_source(volume)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_source(source)


def _of_source(source: Obj) -> Iterator[Ref]:
    if source.get("configMap") is not None:
        yield Ref("ConfigMap", source["configMap"].get("name", ""))
    if source.get("secret") is not None:
        secret = source["secret"]
        yield Ref("Secret", secret.get("secretName") or secret.get("name", ""))


def find(found: Found, ref: Ref) -> Obj:
    """The object. Raises `MissingError` when there is none."""
    obj = found.get(ref)
    if obj is None:
        raise MissingError(f'{ref.kind.lower()} "{ref.name}" not found')
    return obj


def texts(ref: Ref, obj: Obj) -> dict[str, bytes]:
    """The keys that variables are made of: not the `binaryData` of a ConfigMap."""
    return contents(ref, {**obj, "binaryData": None})


def contents(ref: Ref, obj: Obj) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret as bytes."""
    if ref.kind == "Secret":
        return {key: _decode(ref, key, value) for key, value in (obj.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    return texts | {key: _decode(ref, key, value) for key, value in (obj.get("binaryData") or {}).items()}


def _decode(ref: Ref, key: str, value: str) -> bytes:
    try:
        return base64.b64decode(value or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MissingError(f'key {key} of {ref.kind.lower()} "{ref.name}" is not base64') from error
