"""Which groups, versions and kinds this server has, in the two forms in which clients ask.

`documents` calls these and keeps what they return until the served resources change. Pure functions of the resources.
Contract: metav1.APIVersions, APIGroupList, APIGroup, APIResourceList; apidiscovery.k8s.io APIGroupDiscoveryList (KEP-3352).
"""

import hashlib
import platform
from collections.abc import Iterable

from lightship import __version__
from lightship.apiserver import reviews
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

KUBERNETES = ("1", "36")
"""The release whose API we speak."""
_STABILITY = {"alpha": 0, "beta": 1, "": 2}
_SCALE = ("autoscaling", "v1", "Scale")
_SUBRESOURCES: dict[str, tuple[tuple[str, str, str], tuple[str, ...]]] = {
    "binding": (("", "v1", "Binding"), ("create",)),
    "eviction": (("policy", "v1", "Eviction"), ("create",)),
    "log": (("", "v1", "Pod"), ("get",)),
    "token": (("authentication.k8s.io", "v1", "TokenRequest"), ("create",)),
    "finalize": (("", "v1", "Namespace"), ("update",)),
}
_VIEW_VERBS = ("get", "patch", "update")


def version() -> Obj:
    """What `/version` says. The number is Kubernetes', because clients decide by it what they may ask."""
    major, minor = KUBERNETES
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+lightship-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


def legacy_versions() -> Obj:
    """`/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(served: Iterable[Resource]) -> Obj:
    """`/apis`."""
    found = [_group(name, versions) for name, versions in _by_group(served).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(served: Iterable[Resource], name: str) -> Obj:
    """`/apis/<group>`. Raises 404."""
    versions = _by_group(served).get(name)
    if not versions or not name:
        raise errors.no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resources(served: Iterable[Resource], group: str, version: str) -> Obj:
    """`/apis/<group>/<version>`. Raises 404."""
    found = _by_group(served).get(group, {}).get(version)
    if not found:
        raise errors.no_such_path()
    listed = []
    for resource in found:
        listed.append(_api_resource(resource))
        listed.extend(_api_subresource(resource, *sub) for sub in _subresources(resource))
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def aggregated(served: Iterable[Resource], version: str, *, legacy: bool) -> Obj:
    """`/api` or `/apis` as one document with everything in it."""
    items = []
    for name, versions in _by_group(served).items():
        if legacy is (name == ""):
            found = [
                {"version": v, "resources": [_discovery(r) for r in resources], "freshness": "Current"} for v, resources in versions.items()
            ]
            metadata: Obj = {"creationTimestamp": None, **({"name": name} if name else {})}
            items.append({"metadata": metadata, "versions": found})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": items}


def etag(body: bytes) -> str:
    return '"' + hashlib.sha256(body).hexdigest().upper() + '"'


def priority(version: str) -> tuple[int, int, int]:
    """Sort key of versions, the most stable and highest last: v1alpha1 < v1beta1 < v1 < v2. Contract: CRD version priority."""
    number, stage = version.removeprefix("v"), ""
    for name in ("alpha", "beta"):
        if name in number:
            number, _, step = number.partition(name)
            return (_STABILITY[name], _int(number), _int(step))
    return (_STABILITY[stage], _int(number), 0)


def _int(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _by_group(served: Iterable[Resource]) -> dict[str, dict[str, list[Resource]]]:
    """Resources by group and version: groups in the order in which they came, best version first, resources by name."""
    found: dict[str, dict[str, list[Resource]]] = {}
    for resource in (*served, *reviews.RESOURCES):
        found.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
    ordered = {}
    for name, versions in found.items():
        best_first = sorted(versions, key=priority, reverse=True)
        ordered[name] = {v: sorted(versions[v], key=lambda r: r.plural) for v in best_first}
    return ordered


def _group(name: str, versions: Iterable[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _subresources(resource: Resource) -> list[tuple[str, tuple[str, str, str], tuple[str, ...]]]:
    """(name, group version kind of what it speaks, verbs) of each."""
    own = (resource.group, resource.version, resource.kind)
    found: list[tuple[str, tuple[str, str, str], tuple[str, ...]]] = []
    if resource.status:
        found.append(("status", own, _VIEW_VERBS))
    if resource.scale:
        found.append(("scale", _SCALE, _VIEW_VERBS))
    found.extend((name, *_SUBRESOURCES.get(name, (own, ("get",)))) for name in resource.subresources)
    return sorted(found)


def _api_resource(resource: Resource) -> Obj:
    found: Obj = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    return found


def _api_subresource(resource: Resource, name: str, gvk: tuple[str, str, str], verbs: tuple[str, ...]) -> Obj:
    group, version, kind = gvk
    found: Obj = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }
    if (group, version) != (resource.group, resource.version):
        found |= {"group": group, "version": version}
    return found


def _discovery(resource: Resource) -> Obj:
    found: Obj = {
        "resource": resource.plural,
        "responseKind": _response_kind((resource.group, resource.version, resource.kind)),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    subresources = [
        {"subresource": name, "responseKind": _response_kind(gvk), "verbs": list(verbs)} for name, gvk, verbs in _subresources(resource)
    ]
    if subresources:
        found["subresources"] = subresources
    return found


def _response_kind(gvk: tuple[str, str, str]) -> Obj:
    return {"group": gvk[0], "version": gvk[1], "kind": gvk[2]}
