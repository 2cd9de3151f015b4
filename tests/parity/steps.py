"""The words in which scenarios are written: a step is one request, a scenario a list of them that one fresh namespace sees.

A path that does not begin with a slash names a built-in resource by its plural (`pods/p/status?dryRun=All`, `events.events.k8s.io`), in the
scenario's namespace where it has one. In paths and bodies `$ns` is that namespace, and `${kept.metadata.uid}` is a part of the reply that
a step before kept under that name.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lightship import kinds
from lightship.meta.resources import Resource

JSON, YAML = "application/json", "application/yaml"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_KEPT = re.compile(r"\$\{(\w+)((?:\.[\w-]+)*)\}")


class Step(NamedTuple):
    """One request. `lines` > 0 reads that many lines of a stream and leaves; `until` asks again, for a while, until that code comes."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = {}
    lines: int = 0
    keep: str = ""
    until: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Scenario(NamedTuple):
    """Its name is also that of its namespace."""

    name: str
    steps: list[Step]


def get(path: str, accept: str = "", **options: Any) -> Step:
    return _step("GET", path, None, {"Accept": accept} if accept else {}, **options)


def watch(path: str, lines: int, accept: str = "", **options: Any) -> Step:
    """The first lines of a watch; 0 lines are all until the server ends it."""
    mark = "&" if "?" in path else "?"
    return get(f"{path}{mark}watch=1", accept, **options)._replace(lines=lines)


def post(path: str, body: Any, type: str = JSON, **options: Any) -> Step:
    return _step("POST", path, body, {"Content-Type": type}, **options)


def put(path: str, body: Any, type: str = JSON, **options: Any) -> Step:
    return _step("PUT", path, body, {"Content-Type": type}, **options)


def patch(path: str, body: Any, type: str = MERGE, **options: Any) -> Step:
    return _step("PATCH", path, body, {"Content-Type": type}, **options)


def strategic(path: str, body: Any, **options: Any) -> Step:
    return patch(path, body, STRATEGIC, **options)


def json_patch(path: str, *operations: Any, **options: Any) -> Step:
    return patch(path, list(operations), JSON_PATCH, **options)


def apply(path: str, body: Any, manager: str = "one", *, force: bool = False, **options: Any) -> Step:
    """A server-side apply; type and name come from the path where the body is silent."""
    resource, name = _named(path)
    if resource is not None and isinstance(body, dict):
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        body["metadata"] = {"name": name, **body.get("metadata", {})}
    mark = "&" if "?" in path else "?"
    return patch(f"{path}{mark}fieldManager={manager}" + "&force=true" * force, body, APPLY, **options)


def delete(path: str, body: Any = None, **options: Any) -> Step:
    return _step("DELETE", path, body, {} if body is None else {"Content-Type": JSON}, **options)


def _step(method: str, path: str, body: Any, base: dict[str, str], *, user: str = "", **options: Any) -> Step:
    headers = base | ({"Impersonate-User": user} if user else {}) | options.pop("headers", {})
    return Step(method, path, body, headers, **options)


def located(path: str, namespace: str) -> str:
    """The path on the server."""
    if not path.startswith("/"):
        resource, _ = _named(path)
        assert resource is not None, path
        prefix = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        within = f"/namespaces/{namespace}" if resource.namespaced else ""
        rest = re.match(r"[^/?]+(.*)", path)
        assert rest is not None
        path = f"{prefix}{within}/{resource.plural}{rest[1]}"
    return path.replace("$ns", namespace)


def filled(text: str, kept: Mapping[str, Any]) -> str:
    """The text with the parts of kept replies that it names."""

    def part(match: re.Match[str]) -> str:
        value = kept.get(match[1])
        for name in match[2].split(".")[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        return str(value)

    return _KEPT.sub(part, text)


def written(body: Any, namespace: str, kept: Mapping[str, Any]) -> bytes | None:
    """The body as it is sent: bytes as they are, text and objects with what they name."""
    if body is None or isinstance(body, bytes):
        return body
    text = body if isinstance(body, str) else json.dumps(body)
    return filled(text.replace("$ns", namespace), kept).encode()


def _named(path: str) -> tuple[Resource | None, str]:
    plural, _, rest = path.partition("?")[0].partition("/")
    resource = next((r for r in kinds.BUILTIN if plural in (r.plural, f"{r.plural}.{r.group}", f"{r.plural}.{r.version}.{r.group}")), None)
    return (None, "") if path.startswith("/") else (resource, rest.partition("/")[0])
