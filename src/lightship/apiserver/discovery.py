"""Which groups, versions and kinds this server has, in the two forms in which clients ask.

`documents` calls these and keeps what they return until the served resources change. Pure functions of the resources; order and fields are
the real server's, so that what clients keep of one can be compared with the other.
Contract: metav1.APIVersions, APIGroupList, APIGroup, APIResourceList; apidiscovery.k8s.io APIGroupDiscoveryList (KEP-3352); apiserver
pkg/endpoints/discovery (storage version hashes), kube-aggregator priorities of groups.
"""

import base64
import hashlib
import platform
from collections.abc import Iterable, Mapping

from lightship import __version__
from lightship.meta import errors
from lightship.meta.objects import GVK, Obj
from lightship.meta.resources import Resource

from .reviews import answering as reviews

KUBERNETES = ("1", "36")
"""The release whose API we speak."""
_PATCH_RELEASE = "3"
_STABILITY = {"alpha": 0, "beta": 1, "": 2}
_FIRST = (
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)
"""Groups in the order of their priority; all others follow by name."""
_RANK = {group: rank for rank, group in enumerate(_FIRST)}
_EARLY = ("scheduling.k8s.io", "v1alpha2")
"""What we serve and a real server with default features does not, although others have long had kinds of these names."""
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""What custom kinds can do, in the order in which the real server tells it."""
_VIEW_VERBS = ("get", "patch", "update")
_PROXY_VERBS = ("create", "delete", "get", "patch", "update")
_CONNECT_VERBS = ("create", "get")
PROXIED = frozenset(("nodes", "pods", "services"))
"""Core kinds behind which something else answers."""
_SUBRESOURCES: Mapping[tuple[str, str], tuple[tuple[str, str, str], tuple[str, ...]]] = {
    ("pods", "attach"): (("", "v1", "PodAttachOptions"), _CONNECT_VERBS),
    ("pods", "binding"): (("", "v1", "Binding"), ("create",)),
    ("pods", "eviction"): (("policy", "v1", "Eviction"), ("create",)),
    ("pods", "exec"): (("", "v1", "PodExecOptions"), _CONNECT_VERBS),
    ("pods", "log"): (("", "v1", "Pod"), ("get",)),
    ("pods", "portforward"): (("", "v1", "PodPortForwardOptions"), _CONNECT_VERBS),
    ("pods", "proxy"): (("", "v1", "PodProxyOptions"), _PROXY_VERBS),
    ("nodes", "proxy"): (("", "v1", "NodeProxyOptions"), _PROXY_VERBS),
    ("services", "proxy"): (("", "v1", "ServiceProxyOptions"), _PROXY_VERBS),
    ("serviceaccounts", "token"): (("authentication.k8s.io", "v1", "TokenRequest"), ("create",)),
    ("namespaces", "finalize"): (("", "v1", "Namespace"), ("update",)),
}
"""What is sent to and got from subresources that are not views of their object."""
_SCALE = ("autoscaling", "v1", "Scale")
_HASHED = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): "apiextensions.k8s.io/v1beta1",
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): "admissionregistration.k8s.io/v1beta1",
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): "admissionregistration.k8s.io/v1beta1",
}
"""Versions of which storage version hashes are made, where the real server still stores an older one than it prefers."""


def version() -> Obj:
    """What `/version` says. The number is Kubernetes', because clients decide by it what they may ask."""
    major, minor = KUBERNETES
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"v{major}.{minor}.{_PATCH_RELEASE}+lightship-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


def legacy_versions(host: str) -> Obj:
    """`/api`; `host` is where the client has reached us."""
    reached = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}] if host else []
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": reached}


def groups(served: Iterable[Resource]) -> Obj:
    """`/apis`."""
    found = [_group(name, versions) for name, versions in _by_group(served).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(served: Iterable[Resource], name: str) -> Obj | None:
    """`/apis/<group>`; None when there is no such group."""
    versions = _by_group(served).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions and name else None


def resources(served: Iterable[Resource], group: str, version: str, stored: Mapping[str, str]) -> Obj:
    """`/apis/<group>/<version>`; `stored` tells the version in which the objects of a bucket are stored. Raises 404."""
    found = _by_group(served).get(group, {}).get(version)
    if not found:
        raise errors.no_such_path()
    listed = []
    for resource in found:
        listed.append(_api_resource(resource, stored))
        listed.extend(_api_subresource(resource, *sub) for sub in _subresources(resource))
    if not group:
        return {"kind": "APIResourceList", "groupVersion": version, "resources": listed}
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}", "resources": listed}


def aggregated(served: Iterable[Resource], version: str, *, legacy: bool) -> Obj:
    """`/api` or `/apis` as one document with everything in it."""
    items = []
    for name, versions in _by_group(served).items():
        if legacy is (name == ""):
            found = [
                {"version": v, "resources": [_discovery(r) for r in resources], "freshness": "Current"} for v, resources in versions.items()
            ]
            items.append({"metadata": {"name": name} if name else {}, "versions": found})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": items}


def root_paths(served: Iterable[Resource], others: Iterable[str]) -> Obj:
    """`/`: every path that begins something; `others` are those that are no groups."""
    found = {"/api", "/apis", "/apis/", *others}
    for name, versions in _by_group(served).items():
        root = f"/apis/{name}" if name else "/api"
        found.update((root, *(f"{root}/{version}" for version in versions)))
    return {"paths": sorted(found)}


def spoken(resource: Resource, subresource: str) -> GVK:
    """The kind that is sent to a resource, or to a subresource of it."""
    if subresource == "scale":
        return GVK(*_SCALE)
    found = _SUBRESOURCES.get((resource.plural, subresource)) if subresource else None
    return GVK(*found[0]) if found else resource.gvk


def subresource_verbs(resource: Resource, subresource: str) -> tuple[str, ...]:
    """What can be done to a subresource; nothing where there is none of that name."""
    if subresource in ("status", "scale"):
        return _VIEW_VERBS if (resource.status if subresource == "status" else resource.scale) else ()
    if subresource not in resource.subresources:
        return ()
    found = _SUBRESOURCES.get((resource.plural, subresource))
    return found[1] if found else _VIEW_VERBS


def etag(body: bytes) -> str:
    return '"' + hashlib.sha512(body).hexdigest().upper() + '"'


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
    """Resources by group and version: the most important groups first, the best version first, resources by name."""
    found: dict[str, dict[str, list[Resource]]] = {}
    for resource in (*served, *reviews.RESOURCES):
        found.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
    ordered = {}
    for name in _ranked(found):
        versions = found[name]
        best_first = sorted(versions, key=priority, reverse=True)
        ordered[name] = {v: sorted(versions[v], key=lambda r: r.plural) for v in best_first}
    return ordered


def _ranked(found: Mapping[str, Mapping[str, list[Resource]]]) -> list[str]:
    """Groups in their order. kubectl takes a name without a group for that of the first group that has it (client-go restmapper), so kinds
    that a real server does not have come after those of definitions that are called alike."""
    ranked = sorted(found, key=lambda name: (_RANK.get(name, len(_FIRST)), name))
    group, version = _EARLY
    ours = {resource.plural for resource in found.get(group, {}).get(version, ())}
    theirs = (resource.plural for name in ranked if name not in _RANK for resources in found[name].values() for resource in resources)
    if not ours.isdisjoint(theirs):
        ranked.remove(group)
        ranked.append(group)
    return ranked


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
    found.extend((name, *_SUBRESOURCES.get((resource.plural, name), (own, _VIEW_VERBS))) for name in resource.subresources)
    return found if resource.custom else sorted(found)


def _verbs(resource: Resource) -> list[str]:
    if not resource.custom:
        return sorted(resource.verbs)
    return [verb for verb in _CUSTOM_VERBS if verb in resource.verbs]


def _api_resource(resource: Resource, stored: Mapping[str, str]) -> Obj:
    found: Obj = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if "delete" in resource.verbs:
        found["storageVersionHash"] = _storage_version_hash(resource, stored)
    return found


def _storage_version_hash(resource: Resource, stored: Mapping[str, str]) -> str:
    """By which clients see that objects are stored in another version than before."""
    version = _HASHED.get((resource.group, resource.kind)) or stored.get(resource.bucket, resource.api_version)
    text = f"{version}/{resource.kind}"
    digest = hashlib.sha256((text if "/" in text.removesuffix(f"/{resource.kind}") else f"/{text}").encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _api_subresource(resource: Resource, name: str, gvk: tuple[str, str, str], verbs: tuple[str, ...]) -> Obj:
    group, version, kind = gvk
    found: Obj = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if (group, version) != (resource.group, resource.version):
        found |= {"group": group, "version": version}
    return {**found, "kind": kind, "verbs": list(verbs)}


def _discovery(resource: Resource) -> Obj:
    found: Obj = {
        "resource": resource.plural,
        "responseKind": _response_kind(resource, (resource.group, resource.version, resource.kind)),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    subresources = [
        {"subresource": name, "responseKind": _response_kind(resource, gvk), "verbs": list(verbs)}
        for name, gvk, verbs in _subresources(resource)
    ]
    if subresources:
        found["subresources"] = subresources
    return found


def _response_kind(resource: Resource, gvk: tuple[str, str, str]) -> Obj:
    """Built-in kinds of the very same group and version are told without either."""
    group, version, kind = gvk
    if not resource.custom and (group, version) == (resource.group, resource.version):
        group = version = ""
    return {"group": group, "version": version, "kind": kind}
