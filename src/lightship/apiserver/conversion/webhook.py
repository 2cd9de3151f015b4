"""Conversion of custom objects by webhook: what is asked, what may be answered, and what has been answered lately.

`definitions` makes one for each definition with strategy Webhook; `conversion.Versions` asks it. Answers are remembered by the very object
that was sent, up to a number of bytes, so that lists and watches of unchanged objects ask once. Refuses to know when to convert.
Contract: apiextensions.k8s.io/v1 ConversionReview (v1beta1 too); apiextensions-apiserver pkg/apiserver/conversion, its texts included.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from lightship.apiserver.transport.outbound import CallError, Outbound, Target, target_of
from lightship.meta import codec, objectmeta
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj, copy, split_api_version

TIMEOUT = 30.0
"""Seconds that a webhook has for one batch."""
BATCH = 500
"""Objects of one ConversionReview."""
REMEMBERED = 32 << 20
"""Bytes of answers that are remembered, objects that were sent included."""
_GROUP = "apiextensions.k8s.io"
_VERSIONS = ("v1", "v1beta1")


class Webhook:
    """`pruned` is what the server does to an answer: it takes unknown fields away. `uid` makes a new one for each request."""

    def __init__(self, conversion: Obj, outbound: Outbound, uid: Callable[[], str], pruned: Callable[[Obj], Obj]) -> None:
        webhook = conversion.get("webhook") or {}
        self._config: Obj = webhook.get("clientConfig") or {}
        self._version = next((v for v in webhook.get("conversionReviewVersions") or () if v in _VERSIONS), "")
        self._outbound = outbound
        self._uid = uid
        self._pruned = pruned
        self._answers: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()
        self._size = 0

    def known(self, obj: Obj, api_version: str) -> Obj | None:
        """What it has answered for this object already; the caller's own."""
        key = (codec.encode(obj), api_version)
        found = self._answers.get(key)
        if found is None:
            return None
        self._answers.move_to_end(key)
        decoded: Obj = codec.decode(found)
        return decoded

    async def convert(self, objects: Sequence[Obj], api_version: str) -> None:
        """Ask for these, and remember the answers. Raises `StatusError` (500) when any of them is not right."""
        for start in range(0, len(objects), BATCH):
            batch = objects[start : start + BATCH]
            for sent, answered in zip(batch, await self._ask(batch, api_version), strict=True):
                self._remember(sent, api_version, answered)

    def _remember(self, sent: Obj, api_version: str, answered: Obj) -> None:
        key, value = (codec.encode(sent), api_version), codec.encode(answered)
        self._size += len(key[0]) + len(value) - (len(key[0]) + len(self._answers[key]) if key in self._answers else 0)
        self._answers[key] = value
        while self._size > REMEMBERED and len(self._answers) > BATCH:
            (old, _), forgotten = self._answers.popitem(last=False)
            self._size -= len(old) + len(forgotten)

    async def _ask(self, objects: Sequence[Obj], api_version: str) -> list[Obj]:
        group, version = split_api_version(objects[0]["apiVersion"])
        what = f"conversion webhook for {group}/{version}, Kind={objects[0]['kind']}"
        if not self._version:
            raise _failed("no supported conversion review versions")
        uid = self._uid()
        review = {
            "kind": "ConversionReview",
            "apiVersion": f"{_GROUP}/{self._version}",
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objects)},
        }
        try:
            answer = await self._outbound.post(self._target(), review, timeout=TIMEOUT, query="timeout=30s")
            converted = _answered(answer, uid, self._version)
        except (CallError, ValueError) as error:
            raise _failed(f"{what} failed: {error}") from error
        if len(converted) != len(objects):
            raise _failed(f"{what} returned {len(converted)} objects, expected {len(objects)}")
        return [self._taken(sent, got, api_version, what, i) for i, (sent, got) in enumerate(zip(objects, converted, strict=True))]

    def _target(self) -> Target:
        return target_of(self._config)

    def _taken(self, sent: Obj, got: Any, api_version: str, what: str, index: int) -> Obj:
        """The object that we take an answer for. Raises `StatusError`."""
        if not isinstance(got, dict):
            raise _failed(f"{what} returned invalid object at index {index}: it is no JSON object")
        group_version = got.get("apiVersion") or ""
        if group_version != api_version:
            why = f"invalid groupVersion (expected {api_version}, received {group_version})"
            raise _failed(f"{what} returned invalid object at index {index}: {why}")
        if got.get("kind") != sent["kind"]:
            why = f"invalid kind (expected {sent['kind']}, received {got.get('kind') or ''})"
            raise _failed(f"{what} returned invalid object at index {index}: {why}")
        try:
            _check_identity(sent["metadata"], _object(got.get("metadata")))
        except ValueError as error:
            raise _failed(f"{what} returned invalid object: {error}") from error
        try:
            metadata = restored(sent["metadata"], got)
        except ValueError as error:
            raise _failed(f"{what} returned invalid metadata: {error}") from error
        return self._pruned({**got, "metadata": metadata})


def _object(value: Any) -> Obj:
    return value if isinstance(value, dict) else {}


def _failed(message: str) -> StatusError:
    return StatusError(500, "", message)


def _answered(answer: Any, uid: str, version: str) -> list[Any]:
    """The converted objects. Raises `ValueError` with what the real server says of an answer that is not one."""
    if not isinstance(answer, dict):
        raise ValueError("couldn't get version/kind; json parse error: the answer is no JSON object")
    response = answer.get("response")
    if version == "v1":
        wanted, found = f"{_GROUP}/v1, Kind=ConversionReview", _shown_kind(answer)
        if wanted != found:
            raise ValueError(f"expected webhook response of {wanted}, got {found}")
    if not isinstance(response, dict):
        raise ValueError("no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise ValueError(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = _object(response.get("result"))
    status = result.get("status") or ""
    if status != "Success":
        raise ValueError(result.get("message") or f"response.result.status was '{status}', not 'Success'")
    objects = response.get("convertedObjects") or []
    if not isinstance(objects, list):
        raise ValueError("response.convertedObjects is no list")
    return objects


def _shown_kind(answer: Obj) -> str:
    return f"{answer.get('apiVersion') or ''}, Kind={answer.get('kind') or ''}"


def _check_identity(sent: Obj, got: Obj) -> None:
    for field, shown in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if (sent.get(field) or "") != (got.get(field) or ""):
            raise ValueError(f"must have the same {shown}: {sent.get(field) or ''} != {got.get(field) or ''}")


def restored(sent: Obj, got: Obj) -> Obj:
    """The metadata that was sent, with the labels and annotations that came back: a webhook may change nothing else.

    Raises `ValueError` when they are not what labels and annotations may be.
    """
    found = got.get("metadata")
    if "metadata" not in got:
        raise ValueError("missing metadata in converted object")
    if not isinstance(found, dict):
        raise ValueError(f"invalid metadata of type {type(found).__name__} in converted object")
    metadata: Obj = copy(sent)
    for field in ("labels", "annotations"):
        value = found.get(field)
        if value is None:
            metadata.pop(field, None)
            continue
        if not isinstance(value, dict):
            raise ValueError(f"invalid metadata.{field} of type {type(value).__name__} in converted object")
        wrong = next((k for k, v in value.items() if not isinstance(v, str)), None)
        if wrong is not None:
            shown = type(value[wrong]).__name__
            raise ValueError(f"metadata.{field}[{wrong}] must be a string, but is {shown} in converted object")
        if value != metadata.get(field):
            _check(field, value)
        metadata[field] = value
    return metadata


def _check(field: str, value: dict[str, str]) -> None:
    causes = objectmeta.check_new({"name": "x", field: value}, "path", builtin=False)
    if causes:
        texts = [c.text() for c in causes]
        raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
