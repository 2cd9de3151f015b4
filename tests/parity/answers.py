"""What two servers answered, made comparable, and where it differs.

Normalised is only what cannot be the same on two servers: uids (by the order in which they appear), versions (by the order in which an
object had them), times, drawn names, addresses and ports, tokens, ages. Everything else has to be equal.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lightship.apiserver.media import yaml_bodies
from lightship.kinds import protobuf
from lightship.meta import codec

HEADERS = (
    *("content-type", "warning", "retry-after", "cache-control", "location", "www-authenticate", "vary", "allow", "content-encoding"),
    *("x-content-type-options", "strict-transport-security", "accept-patch", "accept-post", "last-modified"),
)
PRESENT = ("audit-id", "etag", "x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid", "date")
"""Headers of which only it matters that they are there."""
_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_PLAIN = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "JWT"),
    (re.compile(r"\b10\.(?:0|96)\.\d+\.\d+\b"), "SERVICE-IP"),
    (re.compile(r"((?:current|object meta): |in record \(|resourceVersion\W+)\d+\b"), r"\1VERSION"),
    (re.compile(r"(too old resource version: \d+ )\(\d+\)"), r"\1(VERSION)"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "SERVER"),
    (re.compile(r"(kube-api-access-|A_)[bcdfghjklmnpqrstvwxz2456789]{5}\b"), r"\1*"),
    (re.compile(r'uid: "(UID\d+)"'), r"uid: \1"),
)
_AGE = re.compile(r"(?:\d+[smhd])+")
_UNORDERED = ("nonResourceRules", "resourceRules")
"""Lists that the real server makes in an order that changes."""
_GROUPS = {"APIGroupList": "groups", "APIGroupDiscoveryList": "items"}
"""Lists of groups: those of custom kinds linger there on the real server, for a while after the last kind has gone."""
_CONFLICT = "FieldManagerConflict"
"""Several conflicts are told in an order that changes, too."""
_PORTS = ("nodePort", "healthCheckNodePort")


class Answer(NamedTuple):
    """Headers in lower case; several Warnings are several lines."""

    code: int
    headers: Mapping[str, str]
    body: bytes


def _owner(entry: Any) -> Any:
    """By which entries are put in order: they are ordered by times, which differ."""
    return [str(entry.get(field)) for field in ("manager", "operation", "apiVersion", "subresource")] if isinstance(entry, dict) else []


class Difference(NamedTuple):
    """`at` is `code`, `header.<name>` or a path into the body such as `body.metadata.labels.a`."""

    at: str
    real: Any
    ours: Any

    def __str__(self) -> str:
        return f"    {self.at}\n      real: {self.real!r:.1500}\n      ours: {self.ours!r:.1500}"


class Normaliser:
    """What one server's replies to one scenario have shown so far."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        self._versions: dict[str, list[str]] = {}
        self._drawn: dict[str, str] = {}

    def shown(self, answer: Answer) -> dict[str, Any]:
        """The comparable form of an answer."""
        headers = {name: self._text(answer.headers[name]) for name in HEADERS if name in answer.headers}
        headers |= {name: "present" for name in PRESENT if name in answer.headers}
        return {"code": answer.code, "header": headers, "body": self._body(answer)}

    def _body(self, answer: Answer) -> Any:
        kind = answer.headers.get("content-type", "")
        if "yaml" in kind:
            return self._value(yaml_bodies.decode(answer.body)[0])  # quotes and breaks are for people
        if "protobuf" in kind and "stream" not in kind:
            return self._protobuf(answer.body)
        try:
            found = [codec.decode(line) for line in answer.body.splitlines()] if "watch" in kind or "\n{" in answer.body.decode() else None
            return self._value(codec.decode(answer.body) if found is None else found)
        except ValueError:
            return self._text(answer.body.decode(errors="replace"))

    def _protobuf(self, body: bytes) -> Any:
        """Decoded where we can; of lists and Tables it is only compared that they are there."""
        try:
            return self._value(protobuf.decode(body))
        except protobuf.UnknownKind as error:
            return str(error)

    def _value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return self._object(value, key)
        if isinstance(value, list):
            found = [self._cell(item) if key == "cells" else self._value(item) for item in value]
            if key in _UNORDERED or (key == "causes" and all(isinstance(c, dict) and c.get("reason") == _CONFLICT for c in found)):
                return sorted(found, key=str)
            return sorted(found, key=_owner) if key == "managedFields" else found
        if isinstance(value, str):
            return "TOKEN" if key == "continue" and value else "VERSION" if key == "resourceVersion" and value else self._text(value)
        return "PORT" if key in _PORTS and value else value

    def _object(self, value: dict[str, Any], key: str) -> dict[str, Any]:
        if key == "metadata" and isinstance(value.get("generateName"), str) and isinstance(value.get("name"), str):
            self._drawn[value["name"]] = value["generateName"] + "*"
        found = {name: self._value(part, name) for name, part in value.items()}
        if key == "metadata" and isinstance(value.get("uid"), str) and "resourceVersion" in value:
            had = self._versions.setdefault(value["uid"], [])
            if value["resourceVersion"] not in had:
                had.append(value["resourceVersion"])
            found["resourceVersion"] = f"VERSION {had.index(value['resourceVersion']) + 1}"
        if (field := _GROUPS.get(str(found.get("kind")))) and isinstance(found.get(field), list):
            found[field] = [group for group in found[field] if _is_built_in(group.get("name") or group["metadata"].get("name", ""))]
        if isinstance(found.get("message"), str) and found["message"].startswith("Apply failed with "):
            found["message"] = sorted(part.strip() for part in re.split(r"(?=conflicts? with )", found["message"]))
        return found

    def _cell(self, cell: Any) -> Any:
        return "AGE" if isinstance(cell, str) and _AGE.fullmatch(cell) else self._value(cell)

    def _text(self, text: str) -> str:
        text = _UID.sub(lambda match: self._uids.setdefault(match[0], f"UID{len(self._uids) + 1}"), text)
        for name, drawn in self._drawn.items():
            text = text.replace(name, drawn)
        for pattern, instead in _PLAIN:
            text = pattern.sub(instead, text)
        return text


def _is_built_in(group: str) -> bool:
    return "." not in group or group.endswith(".k8s.io")


def differences(real: Any, ours: Any, at: str = "") -> Iterator[Difference]:
    """Where two comparable answers differ, as deep as possible."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in [*real, *(key for key in ours if key not in real)]:
            yield from differences(real.get(key, "ABSENT"), ours.get(key, "ABSENT"), f"{at}.{key}" if at else str(key))
    elif isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        for i, pair in enumerate(zip(real, ours, strict=True)):
            yield from differences(*pair, f"{at}.{i}")
    elif type(real) is not type(ours) or real != ours:
        yield Difference(at, real, ours)
