"""CustomResourceDefinition objects to resources and back. Pure.

Called by `definitions`, and by `main.install` for servers that are not ours.
Contract: apiextensions.k8s.io/v1 CustomResourceDefinitionSpec.
"""

from collections.abc import Sequence
from typing import Any

from lightship import kinds
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource, Scale
from lightship.meta.schema.structural import structural

_ANYTHING: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_AGE = Column("Age", "date", json_path=".metadata.creationTimestamp")


def definition_name(resource: Resource) -> str:
    """What the definition of a custom kind is called."""
    return f"{resource.plural}.{resource.group}"


def custom_resources(crd: Obj) -> list[Resource]:
    """One resource for every served version; the storage version first."""
    spec = crd["spec"]
    versions = sorted((v for v in spec["versions"] if v.get("served")), key=lambda v: not v.get("storage"))
    return [_resource(spec, version) for version in versions]


def _resource(spec: Obj, version: Obj) -> Resource:
    names = spec["names"]
    subresources = version.get("subresources") or {}
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        status="status" in subresources,
        scale=_scale(subresources["scale"]) if "scale" in subresources else None,
        schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        custom=True,
        columns=tuple(_column(c) for c in version.get("additionalPrinterColumns") or ()) or (_AGE,),
        selectable={f["jsonPath"].lstrip("."): tuple(f["jsonPath"].lstrip(".").split(".")) for f in version.get("selectableFields") or ()},
        unconditional_update=False,
    )


def _scale(declared: Obj) -> Scale:
    return Scale(declared["specReplicasPath"], declared["statusReplicasPath"], declared.get("labelSelectorPath") or "")


def _column(declared: Obj) -> Column:
    return Column(
        declared["name"],
        declared.get("type") or "string",
        declared.get("format") or "",
        declared.get("priority") or 0,
        declared.get("description") or "",
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
    optional: dict[str, Any] = {"format": column.format, "priority": column.priority, "description": column.description}
    return {"name": column.name, "type": column.type, **{k: v for k, v in optional.items() if v}, "jsonPath": column.json_path}
