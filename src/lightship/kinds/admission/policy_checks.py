"""What can be wrong with admission policies and their bindings, their expressions included.

Called through `resources`; rules and conditions are `webhook_checks`.
Contract: kube 1.36 pkg/apis/admissionregistration/validation.
"""

import re
from functools import partial
from typing import Any

from lightship.kinds import checking, parts
from lightship.meta import errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from .webhook_checks import FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION, check_conditions, check_expression, check_rule, compiler_of

_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_NOT_FOUND = ("Deny", "Allow")
_MUTATING = ("*", "CONNECT", "CREATE", "UPDATE")
_PATCHES = {"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}
_MAX_ANNOTATIONS = 20
_MAX_VALUE = 5 * 1024
_identifier = re.compile("[_a-zA-Z][_a-zA-Z0-9]*").fullmatch
_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"}
    | {"package", "namespace", "return", "var", "void", "while"}
)
_ONE_ITEM = "validations or auditAnnotations must contain at least one item"


def validate_validating(policy: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(policy)
    compiler = compiler_of(params=spec.get("paramKind") is not None, composed=bool(spec.get("variables")))
    causes = _check_common(spec, objects.spec(old) if old is not None else None, compiler)
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not annotations:
        return causes + [errors.required(f"spec.{field}", _ONE_ITEM) for field in ("validations", "auditAnnotations")]
    for i, validation in enumerate(validations):
        causes += _check_validation(f"spec.validations[{i}]", validation, compiler)
    if len(annotations) > _MAX_ANNOTATIONS:
        why = f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations"
        causes.append(errors.invalid_value("spec.auditAnnotations", annotations, why))
    keys: set[str] = set()
    for i, annotation in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{i}]", annotation.get("key") or ""
        causes += _check_annotation(path, annotation, objects.name(policy), compiler)
        if key in keys:
            causes.append(errors.duplicate(f"{path}.key", key))
        keys.add(key)
    return causes


def validate_mutating(policy: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(policy)
    compiler = compiler_of(params=spec.get("paramKind") is not None, composed=True)
    causes = _check_common(spec, objects.spec(old) if old is not None else None, compiler, mutating=True)
    mutations = spec.get("mutations") or []
    if not mutations:
        causes.append(errors.required("spec.mutations", "mutations must contain at least one item"))
    for i, mutation in enumerate(mutations):
        causes += _check_mutation(f"spec.mutations[{i}]", mutation, compiler)
    again = spec.get("reinvocationPolicy")
    return causes + (
        checking.one_of("spec.reinvocationPolicy", again, REINVOCATION) if again else [errors.required("spec.reinvocationPolicy")]
    )


def _check_common(spec: Obj, before: Obj | None, compiler: Any, *, mutating: bool = False) -> list[Cause]:
    failure, kind, constraints = spec.get("failurePolicy"), spec.get("paramKind"), spec.get("matchConstraints")
    causes = checking.one_of("spec.failurePolicy", failure, FAILURE_POLICIES)
    if kind is not None:
        causes += _check_kind("spec.paramKind", kind)
    if constraints is None:
        causes.append(errors.required("spec.matchConstraints"))
    else:
        causes += _check_resources("spec.matchConstraints", constraints)
        if not constraints.get("resourceRules"):
            causes.append(errors.required("spec.matchConstraints.resourceRules"))
        if mutating:
            causes += _check_operations("spec.matchConstraints", constraints)
    if before is None or not (same(kind, before.get("paramKind")) and same(spec.get("matchConditions"), before.get("matchConditions"))):
        causes += check_conditions("spec.matchConditions", spec.get("matchConditions") or [], params=kind is not None)
    return causes + [c for i, v in enumerate(spec.get("variables") or ()) for c in _check_variable(f"spec.variables[{i}]", v, compiler)]


def _check_kind(path: str, kind: Obj) -> list[Cause]:
    given, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    group, _, version = given.rpartition("/")
    at = f"{path}.apiVersion"
    causes: list[Cause] = []
    if not given:
        causes.append(errors.required(at))
    elif given.count("/") > 1:
        causes.append(errors.invalid_value(at, given, f"unexpected GroupVersion string: {given}"))
    else:
        wrong = names.problems(group, "subdomain") if group else []
        if wrong:
            causes.append(errors.invalid_value(at, group, ",".join(wrong)))
        wrong = names.problems(version, "label1035")
        if not version:
            causes.append(errors.invalid_value(at, given, "version must be specified"))
        elif wrong:
            causes.append(errors.invalid_value(at, version, ",".join(wrong)))
    wrong = names.problems(name.lower(), "label1035")
    if not name:
        causes.append(errors.required(f"{path}.kind"))
    elif wrong:
        why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        causes.append(errors.invalid_value(f"{path}.kind", name, why))
    return causes


def _check_resources(path: str, resources: Obj | None) -> list[Cause]:
    if resources is None:
        return []
    causes = checking.one_of(f"{path}.matchPolicy", resources.get("matchPolicy"), MATCH_POLICIES)
    for field in ("namespaceSelector", "objectSelector"):
        causes += checking.label_selector(f"{path}.{field}", resources.get(field))
    for field in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(resources.get(field) or ()):
            causes += _check_names(f"{path}.{field}[{i}].resourceNames", rule.get("resourceNames") or [])
            causes += check_rule(f"{path}.{field}[{i}]", rule)
    return causes


def _check_names(path: str, given: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    for i, name in enumerate(given):
        causes += checking.check_name(f"{path}[{i}]", name, "path")
        if name in given[:i]:
            causes.append(errors.duplicate(f"{path}[{i}]", name))
    return causes


def _check_operations(path: str, resources: Obj) -> list[Cause]:
    """What is deleted cannot be changed any more."""
    given = (operation for rule in resources.get("resourceRules") or () for operation in rule.get("operations") or ())
    return [c for operation in given for c in checking.one_of(f"{path}.resourceRules.operations", operation, _MUTATING)]


def _check_variable(path: str, variable: Obj, compiler: Any) -> list[Cause]:
    name = variable.get("name") or ""
    causes: list[Cause] = []
    if not name.strip():
        causes.append(errors.required(f"{path}.name", "name is not specified"))
    elif not _identifier(name) or name in _RESERVED:
        causes.append(errors.invalid_value(f"{path}.name", name, "must be a valid CEL identifier"))
    text = variable.get("expression") or ""
    return causes + check_expression(f"{path}.expression", text, partial(compiler.variable, name), "expression is not specified")


def _check_validation(path: str, validation: Obj, compiler: Any) -> list[Cause]:
    expression = validation.get("expression") or ""
    causes = check_expression(f"{path}.expression", expression, compiler.condition, "expression is not specified")
    for field in ("messageExpression", "message"):
        text = validation.get(field) or ""
        if text and not text.strip():
            causes.append(errors.invalid_value(f"{path}.{field}", text, "must be non-empty if specified"))
        elif text and field == "messageExpression":
            causes += check_expression(f"{path}.{field}", text, compiler.message)
        elif field == "message" and set(text.strip()) & {"\n", "\r"}:
            causes.append(errors.invalid_value(f"{path}.{field}", text, "must not contain line breaks"))
    return causes + checking.one_of(f"{path}.reason", validation.get("reason"), _REASONS)


def _check_annotation(path: str, annotation: Obj, policy: str, compiler: Any) -> list[Cause]:
    key, written = annotation.get("key") or "", annotation.get("valueExpression") or ""
    expression = written.strip()
    causes = checking.check_name(f"{path}.key", f"{policy}/{key}", "qualified")
    if len(expression.encode()) > _MAX_VALUE:
        return [*causes, errors.required(f"{path}.valueExpression", f"must not exceed {_MAX_VALUE} bytes in length")]
    why = "valueExpression is not specified"
    return causes + check_expression(f"{path}.valueExpression", expression, compiler.annotation, why, shown=written)


def _check_mutation(path: str, mutation: Obj, compiler: Any) -> list[Cause]:
    kind = mutation.get("patchType") or ""
    if not kind:
        return [errors.required(f"{path}.patchType")]
    if kind not in _PATCHES:
        return [errors.not_supported(f"{path}.patchType", kind, sorted(_PATCHES))]
    field, other = _PATCHES[kind], next(name for of, name in _PATCHES.items() if of != kind)
    causes: list[Cause] = []
    if mutation.get(field) is None:
        causes.append(errors.required(f"{path}.{field}", f"must be specified when patchType is {kind}"))
    else:
        text = (mutation[field].get("expression") or "").strip()
        compile = compiler.json_patch if kind == "JSONPatch" else compiler.configuration
        causes += check_expression(f"{path}.{field}.expression", text, compile)
    if mutation.get(other) is not None:
        why = f"must not be specified when patchType is {kind}"
        causes.append(errors.invalid_value(f"{path}.{other}", f"{{{other}}}", why))
    return causes


def validate_binding(binding: Obj, old: Obj | None) -> list[Cause]:
    """Of either kind of policy."""
    spec = objects.spec(binding)
    causes = checking.required_name("spec.policyName", spec.get("policyName"), "subdomain")
    causes += _check_reference("spec.paramRef", spec.get("paramRef"))
    causes += _check_resources("spec.matchResources", spec.get("matchResources"))
    if binding.get("kind") == "MutatingAdmissionPolicyBinding":
        return causes + _check_operations("spec.matchResources", spec.get("matchResources") or {})
    return causes + _check_actions("spec.validationActions", spec.get("validationActions") or [])


def _check_actions(path: str, actions: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    for i, action in enumerate(actions):
        causes += checking.one_of(f"{path}[{i}]", action, _ACTIONS)
        if action in actions[:i]:
            causes.append(errors.duplicate(f"{path}[{i}]", action))
    if {"Deny", "Warn"} <= set(actions):
        why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers"
        causes.append(errors.invalid_value(path, actions, f"{why} serves no purpose)"))
    return causes if actions else [*causes, errors.required(path, "at least one validation action is required")]


def _check_reference(path: str, reference: Obj | None) -> list[Cause]:
    if reference is None:
        return []
    name, selector, action = reference.get("name") or "", reference.get("selector"), reference.get("parameterNotFoundAction")
    both = "name and selector are mutually exclusive"
    causes = checking.check_name(f"{path}.name", name, "path") if name else []
    if name and selector is not None:
        causes.append(errors.forbidden_field(f"{path}.name", both))
    causes += checking.label_selector(f"{path}.selector", selector)
    if name and selector is not None:
        causes.append(errors.forbidden_field(f"{path}.selector", both))
    if not name and selector is None:
        causes.append(errors.required(path, "one of name or selector must be specified"))
    at = f"{path}.parameterNotFoundAction"
    return causes + (checking.one_of(at, action, _NOT_FOUND) if action else [errors.required(at)])


def validate_status(policy: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(policy)
    warnings = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
    causes = [
        errors.required(f"status.typeChecking.expressionWarnings[{i}].{field}")
        for i, warning in enumerate(warnings)
        for field in ("warning", "fieldRef")
        if not (warning.get(field) or "").strip()
    ]
    return causes + parts.conditions("status.conditions", status.get("conditions"))
