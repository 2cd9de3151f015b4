"""What the expressions of a ValidatingAdmissionPolicy get wrong about the kinds that it is for, by the schemas of those. Pure.

Called by `controller`, which loads this, and CEL with it, when it sees its first policy. Nothing that is found here keeps a policy from
being in force. Contract: k8s.io/apiserver pkg/admission/plugin/policy/validating typechecking.go, its texts included.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from lightship import kinds
from lightship.cel import schema_types
from lightship.cel.admission import Compiler
from lightship.cel.types import Field, ObjectType, Type
from lightship.meta import objects
from lightship.meta.objects import GVK, Obj, split_api_version
from lightship.meta.resources import Resource

MOST_KINDS = 10
"""Of each rule."""
_PREFIX = "#/components/schemas/"
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

Typed = Callable[[GVK], Type | None]
"""The type of the objects of a kind; None when nobody knows it."""


def check(policy: Obj, resources: Iterable[Resource], typed: Typed) -> Iterator[Obj | None]:
    """Look at one expression after another: what is to be said of it, if anything."""
    spec = objects.spec(policy)
    compilers = [(kind, _compiler(spec, object_type, typed)) for kind in named(spec, resources) if (object_type := typed(kind)) is not None]
    for i, validation in enumerate(spec.get("validations") or ()):
        for field in ("expression", "messageExpression"):
            if validation.get(field):
                warning = _warning(validation[field], compilers)
                yield {"fieldRef": f"spec.validations[{i}].{field}", "warning": warning} if warning else None


def _warning(expression: str, compilers: Sequence[tuple[GVK, Compiler]]) -> str:
    told = []
    for kind, compiler in compilers:
        found = compiler.check(expression)
        if found:
            told.append(f"{kind.group}/{kind.version}, Kind={kind.kind}: {found}\n")
    return "\n".join(told)


def _compiler(spec: Obj, object_type: Type, typed: Typed) -> Compiler:
    """With the variables of the policy, for objects of one type."""
    types = {"object": object_type, "oldObject": object_type}
    params = spec.get("paramKind")
    if params:
        group, version = split_api_version(params["apiVersion"])
        found = typed(GVK(group, version, params["kind"]))
        types |= {"params": found} if found is not None else {}
    compiler = Compiler(params=params is not None, composed=True, types=types)
    for variable in spec.get("variables") or ():
        compiler.variable(variable["name"], variable["expression"])
    return compiler


def named(spec: Obj, resources: Iterable[Resource]) -> list[GVK]:
    """The kinds that the rules of a policy name, those with wildcards left out; ten of each rule at most."""
    known: dict[tuple[str, str, str], list[GVK]] = {}
    for resource in resources:
        # A rule that names no group, as those for the core group do, is for the kinds of all groups, to this check.
        for place in product({resource.group, ""}, [resource.version], (resource.plural, resource.kind.lower())):
            known.setdefault(place, []).append(GVK(resource.group, resource.version, resource.kind))
    found: set[GVK] = set()
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = (_plain(rule.get(field) or ()) for field in ("apiGroups", "apiVersions"))
        plurals = sorted(text for text in rule.get("resources") or () if not {"*", "/"} & set(text))
        kinds_of_rule = [kind for place in product(groups, versions, plurals) for kind in known.get(place, ())]
        found.update(kinds_of_rule[:MOST_KINDS])
        if len(kinds_of_rule) >= MOST_KINDS:
            break
    return sorted(found)


def _plain(names: Iterable[str]) -> list[str]:
    """The names in order; none when there is a wildcard among them."""
    found = sorted(names)
    return [] if any("*" in name for name in found) else found


def types(resources: Iterable[Resource], definitions: Iterable[Obj]) -> Typed:
    """The types of built-in kinds by our schemas, of custom kinds by their CustomResourceDefinitions."""
    builtin = {GVK(r.group, r.version, r.kind): str(r.schema["$ref"]) for r in resources if r.schema and "$ref" in r.schema}
    custom = {
        GVK(spec["group"], version["name"], spec["names"]["kind"]): version
        for spec in map(objects.spec, definitions)
        for version in spec["versions"]
    }
    made: dict[GVK, Type | None] = {}

    def typed(kind: GVK) -> Type | None:
        if kind not in made:
            made[kind] = _of_custom(kind, custom[kind]) if kind in custom else _of_builtin(kind, builtin.get(kind))
        return made[kind]

    return typed


def _of_builtin(kind: GVK, reference: str | None) -> Type | None:
    if reference is None:
        return None
    return schema_types.of_definition(reference.removeprefix(_PREFIX), kinds.definitions(), kind.kind)


def _of_custom(kind: GVK, version: Mapping[str, Obj]) -> Type | None:
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    found = schema_types.of_schema(schema, root=True, name=kind.kind)
    if not isinstance(found, ObjectType):
        return None
    metadata = Field(schema_types.of_definition(_METADATA, kinds.definitions(), f"{kind.kind}.metadata"), "metadata")
    return ObjectType(kind.kind, {**found.fields, "metadata": metadata})
