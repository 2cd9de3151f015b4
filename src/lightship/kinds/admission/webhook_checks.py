"""What can be wrong with webhook configurations, and the parts that admission policies share with them: rules, selectors, conditions.

Called through `resources` and by `policy_checks`. Old configurations may keep what was once allowed: unknown side effects and
versions, names that repeat.
Contract: kube 1.36 pkg/apis/admissionregistration/validation; apiserver pkg/util/webhook.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lightship.kinds import checking
from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

STATIC = ".static.k8s.io"
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION = ("IfNeeded", "Never")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SIDE_EFFECTS = ("None", "NoneOnDryRun", "Some", "Unknown")
_NO_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_SCOPES = ("*", "Cluster", "Namespaced")
_VERSIONS = ("v1", "v1beta1")
_MAX_CONDITIONS = 64
_FORM = "; desired format: https://host[/path]"


class _Options(NamedTuple):
    """What an old configuration allows a new one to keep."""

    same_conditions: bool = False
    any_effects: bool = False
    any_versions: bool = False
    any_names: bool = False
    any_values: bool = False


def validate(configuration: Obj, old: Obj | None) -> list[Cause]:
    """A mutating or validating webhook configuration."""
    hooks = configuration.get("webhooks") or []
    options = _options(hooks, old.get("webhooks") or []) if old is not None else _Options()
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, hook in enumerate(hooks):
        path, name = f"webhooks[{i}]", hook.get("name") or ""
        causes += _check_hook(path, hook, options)
        causes += _check_versions(f"{path}.admissionReviewVersions", hook.get("admissionReviewVersions") or [], options)
        if name and name in seen and not options.any_names:
            causes.append(errors.duplicate(f"{path}.name", name))
        seen.add(name)
    return causes


def _options(new: list[Obj], old: list[Obj]) -> _Options:
    listed = [hook.get("name") for hook in old]
    versions = [hook.get("admissionReviewVersions") or [] for hook in old]
    selectors = [hook.get(field) for hook in old for field in ("namespaceSelector", "objectSelector")]
    conditions = len(new) == len(old) and all(
        same(n.get("matchConditions"), o.get("matchConditions")) for n, o in zip(new, old, strict=True)
    )
    return _Options(
        same_conditions=conditions,
        any_effects=not all(hook.get("sideEffects") in _NO_SIDE_EFFECTS for hook in old),
        any_versions=not all(set(given) & set(_VERSIONS) for given in versions if given),
        any_names=len(set(listed)) < len(listed),
        any_values=any(checking.label_selector("", selector) for selector in selectors),
    )


def warn(obj: Obj, old: Obj | None) -> list[str]:
    """Of every kind of this group."""
    if not (obj["metadata"].get("name") or "").endswith(STATIC):
        return []
    why = "are reserved for static manifest-based configurations and cannot be managed via the API"
    return [f'metadata.name: names ending with "{STATIC}" {why}']


def _check_hook(path: str, hook: Obj, options: _Options) -> list[Cause]:
    causes = _check_domain(f"{path}.name", hook.get("name") or "")
    for i, rule in enumerate(hook.get("rules") or ()):
        causes += check_rule(f"{path}.rules[{i}]", rule)
    causes += checking.one_of(f"{path}.failurePolicy", hook.get("failurePolicy"), FAILURE_POLICIES)
    causes += checking.one_of(f"{path}.matchPolicy", hook.get("matchPolicy"), MATCH_POLICIES)
    effects, choices = hook.get("sideEffects"), _SIDE_EFFECTS if options.any_effects else _NO_SIDE_EFFECTS
    if effects is None:
        causes.append(errors.required(f"{path}.sideEffects", f"must specify one of {', '.join(choices)}"))
    causes += checking.one_of(f"{path}.sideEffects", effects, choices)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        causes.append(errors.invalid_value(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds"))
    for field in ("namespaceSelector", "objectSelector"):
        causes += checking.label_selector(f"{path}.{field}", hook.get(field), any_values=options.any_values)
    causes += checking.one_of(f"{path}.reinvocationPolicy", hook.get("reinvocationPolicy"), REINVOCATION)
    causes += check_client(f"{path}.clientConfig", hook.get("clientConfig") or {})
    return causes + ([] if options.same_conditions else check_conditions(f"{path}.matchConditions", hook.get("matchConditions") or []))


def _check_domain(path: str, name: str) -> list[Cause]:
    if not name:
        return [errors.required(path)]
    wrong = names.problems(name, "subdomain")
    if wrong:
        return [errors.invalid_value(path, name, ",".join(wrong))]
    few = name.count(".") < 2
    return [errors.invalid_value(path, name, "should be a domain with at least three segments separated by dots")] if few else []


def check_rule(path: str, rule: Obj) -> list[Cause]:
    """What operations on which resources: of a webhook or a policy."""
    operations = rule.get("operations") or []
    causes = [] if operations else [errors.required(f"{path}.operations")]
    causes += _alone(f"{path}.operations", operations, "operations")
    for i, operation in enumerate(operations):
        causes += checking.one_of(f"{path}.operations[{i}]", operation, _OPERATIONS)
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            causes.append(errors.required(f"{path}.{field}"))
        causes += _alone(f"{path}.{field}", values, what)
    versions = enumerate(rule.get("apiVersions") or ())
    causes += [errors.required(f"{path}.apiVersions[{i}]") for i, version in versions if not version]
    causes += _check_resources(f"{path}.resources", rule.get("resources") or [])
    return causes + checking.one_of(f"{path}.scope", rule.get("scope"), _SCOPES)


def _alone(path: str, values: list[str], what: str) -> list[Cause]:
    if "*" in values and len(values) > 1:
        return [errors.invalid_value(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _check_resources(path: str, resources: list[str]) -> list[Cause]:
    causes = [] if resources else [errors.required(path)]
    all_of: set[str] = set()
    everywhere: set[str] = set()
    plain = False
    for i, resource in enumerate(resources):
        name, slash, part = resource.partition("/")
        if not resource:
            causes.append(errors.required(f"{path}[{i}]"))
            continue
        if not slash:
            plain = resource != "*"
            continue
        if name in all_of:
            causes.append(errors.invalid_value(f"{path}[{i}]", resource, f"if '{name}/*' is present, must not specify {resource}"))
        if part in everywhere:
            causes.append(errors.invalid_value(f"{path}[{i}]", resource, f"if '*/{part}' is present, must not specify {resource}"))
        if part == "*":
            all_of.add(name)
        if name == "*":
            everywhere.add(part)
    if "*/*" in resources and len(resources) > 1:
        causes.append(errors.invalid_value(path, resources, "if '*/*' is present, must not specify other resources"))
    if "*" in resources and plain:
        why = "if '*' is present, must not specify other resources without subresources"
        causes.append(errors.invalid_value(path, resources, why))
    return causes


def _check_versions(path: str, versions: list[str], options: _Options) -> list[Cause]:
    if not versions:
        return [errors.required(path, f"must specify one of {', '.join(_VERSIONS)}")]
    causes: list[Cause] = []
    for i, version in enumerate(versions):
        if version in versions[:i]:
            causes.append(errors.invalid_value(f"{path}[{i}]", version, "duplicate version"))
        else:
            causes += checking.check_name(f"{path}[{i}]", version, "label1035")
    if not options.any_versions and not set(versions) & set(_VERSIONS):
        causes.append(errors.invalid_value(path, versions, f"must include at least one of {', '.join(_VERSIONS)}"))
    return causes


def check_client(path: str, client: Obj) -> list[Cause]:
    """Where a webhook answers."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [errors.required(path, "exactly one of url or service is required")]
    return _check_url(f"{path}.url", url) if url is not None else _check_service(f"{path}.service", service or {})


def _check_url(path: str, url: str) -> list[Cause]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        why = "missing ']' in host" if "IPv6" in str(error) else str(error)
        return [errors.required(path, f'url must be a valid URL: parse "{url}": {why}{_FORM}')]
    user, _, host = parts.netloc.rpartition("@")
    causes: list[Cause] = []
    if parts.scheme != "https":
        causes.append(errors.invalid_value(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not host:
        causes.append(errors.invalid_value(path, "", f"host must be specified{_FORM}"))
    if "@" in parts.netloc:
        causes.append(errors.invalid_value(path, user, "user information is not permitted in the URL"))
    if parts.fragment:
        causes.append(errors.invalid_value(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        causes.append(errors.invalid_value(path, parts.query, "query parameters are not permitted in the URL"))
    return causes


def _check_service(path: str, service: Obj) -> list[Cause]:
    # The real server takes the one for the other.
    causes = [
        errors.required(f"{path}.{shown}") for shown, field in (("name", "namespace"), ("namespace", "name")) if not service.get(field)
    ]
    port, route = service.get("port") or 0, service.get("path") or ""
    if checking.port_number("", port):
        causes.append(errors.invalid_value(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive"))
    at = f"{path}.path"
    if route in ("", "/"):
        return causes
    if route == "//":
        return [*causes, errors.invalid_value(at, route, "segment[0] may not be empty")]
    if not route.startswith("/"):
        causes.append(errors.invalid_value(at, route, "must start with a '/'"))
    for i, step in enumerate(route[1:].removesuffix("/").split("/")):
        if not step:
            causes.append(errors.invalid_value(at, route, f"segment[{i}] may not be empty"))
        else:
            causes += [errors.invalid_value(at, route, f"segment[{i}]: {m}") for m in names.problems(step, "subdomain")]
    return causes


def check_conditions(path: str, conditions: list[Obj], *, params: bool = False) -> list[Cause]:
    """Match conditions: names that do not repeat, expressions that compile. `params`: may they speak of parameters?"""
    causes: list[Cause] = []
    compiler = compiler_of(params=params) if conditions else None
    if len(conditions) > _MAX_CONDITIONS:
        causes.append(errors.too_many(path, len(conditions), _MAX_CONDITIONS))
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        name = condition.get("name") or ""
        text = (condition.get("expression") or "").strip()
        causes += check_expression(f"{path}[{i}].expression", text, compiler.condition) if compiler else []
        causes += checking.required_name(f"{path}[{i}].name", name, "qualified")
        if name and name in seen:
            causes.append(errors.duplicate(f"{path}[{i}].name", name))
        seen.add(name)
    return causes


def check_expression(path: str, text: str, compile: Callable[[str], Any], why: str = "", *, shown: str = "") -> list[Cause]:
    """An expression must be there and compile. `why`: what is said when it is missing; `shown`: what messages show, if not `text`."""
    if not text.strip():
        return [errors.required(path, why)]
    found = compile(text)
    if not found.problem:
        return []
    if found.internal:
        return [Cause(path, f"Internal error: {found.problem}", "InternalError")]
    return [errors.invalid_value(path, shown or text, found.problem)]


def compiler_of(*, params: bool, composed: bool = False) -> Any:
    """A `cel.admission.Compiler`; CEL is loaded when the first expression comes."""
    return import_module("lightship.cel.admission").Compiler(params=params, composed=composed)
