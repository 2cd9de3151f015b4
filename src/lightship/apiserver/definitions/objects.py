"""CustomResourceDefinition objects to resources and back. Pure.

Called by `definitions`, and by `main.install` for servers that are not ours.
Contract: apiextensions.k8s.io/v1 CustomResourceDefinitionSpec.
"""

from collections.abc import Sequence
from typing import Any

from lightship import kinds
from lightship.apiserver.custom_objects import finalizer_warnings
from lightship.apiserver.discovery import priority
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource, Scale
from lightship.meta.schema.structural import structural

_ANYTHING: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_AGE = Column("Age", "date", json_path=".metadata.creationTimestamp")


def definition_name(resource: Resource) -> str:
    """What the definition of a custom kind is called."""
    return f"{resource.plural}.{resource.group}"


def custom_resources(crd: Obj) -> list[tuple[Resource, bool]]:
    """One resource for every version, and whether it is served; the storage version first."""
    versions = sorted(crd["spec"]["versions"], key=lambda v: not v.get("storage"))
    return [(_resource(crd, version), bool(version.get("served"))) for version in versions]


def _resource(crd: Obj, version: Obj) -> Resource:
    spec = crd["spec"]
    names = (crd.get("status") or {}).get("acceptedNames") or spec["names"]
    subresources = version.get("subresources") or {}
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        list_name=names.get("listKind") or "",
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        status="status" in subresources,
        scale=_scale(subresources["scale"]) if "scale" in subresources else None,
        schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        custom=True,
        columns=tuple(_column(c) for c in version.get("additionalPrinterColumns") or ()) or (_AGE,),
        selectable={f["jsonPath"].removeprefix("."): _steps(f["jsonPath"]) for f in version.get("selectableFields") or ()},
        warn=finalizer_warnings,
        deprecation=_deprecation(crd, version) if version.get("deprecated") else "",
        unconditional_update=False,
    )


def _steps(json_path: str) -> tuple[str, ...]:
    return tuple(json_path.removeprefix(".").split("."))


def _deprecation(crd: Obj, version: Obj) -> str:
    """What users of a deprecated version are told."""
    if "deprecationWarning" in version:
        return str(version["deprecationWarning"])
    spec = crd["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    better = [v["name"] for v in spec["versions"] if v.get("served") and not v.get("deprecated")]
    better = [name for name in better if priority(name) > priority(version["name"])]
    told = f"{group}/{version['name']} {kind} is deprecated"
    return f"{told}; use {group}/{max(better, key=priority)} {kind}" if better else told


def _scale(declared: Obj) -> Scale:
    return Scale(declared["specReplicasPath"], declared["statusReplicasPath"], declared.get("labelSelectorPath") or "")


def _column(declared: Obj) -> Column:
    return Column(
        declared["name"],
        declared.get("type") or "string",
        declared.get("format") or "",
        declared.get("priority") or 0,
        declared.get("description") or f"Custom resource definition column (in JSONPath format): {declared['jsonPath']}",
        declared["jsonPath"],
    )


def definition_of(versions: Sequence[Resource]) -> Obj:
    """The CRD object of a kind that came as resources, one for each of its versions; the first is the storage version.

    Any Kubernetes API server takes it: its schema stands alone.
    """
    first = versions[0]
    names: Obj = {"plural": first.plural, "singular": first.singular or first.kind.lower(), "kind": first.kind, "listKind": first.list_kind}
    if first.short_names:
        names["shortNames"] = list(first.short_names)
    if first.categories:
        names["categories"] = list(first.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition_name(first)},
        "spec": {
            "group": first.group,
            "names": names,
            "scope": "Namespaced" if first.namespaced else "Cluster",
            "versions": [_version(r, storage=r is first) for r in versions],
            "conversion": {"strategy": "None"},
        },
    }


def _version(resource: Resource, *, storage: bool) -> Obj:
    schema = structural(resource.schema or _ANYTHING, kinds.definitions())
    version: Obj = {"name": resource.version, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}}
    subresources: Obj = {}
    if resource.status:
        subresources["status"] = {}
    if resource.scale:
        subresources["scale"] = _scale_object(resource.scale)
    if subresources:
        version["subresources"] = subresources
    columns = [_column_object(c) for c in resource.columns if c.json_path]
    if columns:
        version["additionalPrinterColumns"] = columns
    return version


def _scale_object(scale: Scale) -> Obj:
    found: Obj = {"specReplicasPath": scale.spec_path, "statusReplicasPath": scale.status_path}
    if scale.selector_path:
        found["labelSelectorPath"] = scale.selector_path
    return found


def _column_object(column: Column) -> Obj:
    description = "" if column.description.startswith("Custom resource definition column (in JSONPath format): ") else column.description
    optional: dict[str, Any] = {"format": column.format, "priority": column.priority, "description": description}
    return {"name": column.name, "type": column.type, **{k: v for k, v in optional.items() if v}, "jsonPath": column.json_path}
