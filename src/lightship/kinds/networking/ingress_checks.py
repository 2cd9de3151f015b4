"""What can be wrong with Ingresses and IngressClasses, and what is said of those that are accepted.

Called through `networking`. What an Ingress had that today would be refused (secret names, wildcard hosts without sense) it may keep.
Contract: kube 1.36 pkg/apis/networking/validation with RelaxedServiceNameValidation on; pkg/registry/networking strategies.
"""

import re

from lightship.kinds import checking, ip_checks
from lightship.meta import errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_CONTROLLER_LIMIT = 250
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SCOPES = ("Cluster", "Namespace")
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_LABEL}(\.{_LABEL})*"
_wildcard = re.compile(_WILDCARD).fullmatch
_NOT_WILDCARD = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric "
    f"characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '{_WILDCARD}')"
)
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_http_path = re.compile(_HTTP_PATH).fullmatch


def validate(ingress: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(ingress)
    before = objects.spec(old) if old else {}
    causes = _check_spec(spec, any_secret=_has_odd_secret(before), any_wildcard=_has_odd_wildcard(before))
    name, given = spec.get("ingressClassName"), objects.annotations(ingress).get(CLASS_ANNOTATION)
    if old is None and given is not None and name is not None and given != name:
        why = "must match `ingressClassName` when both are specified"
        causes.append(errors.invalid_value(f"annotations.{CLASS_ANNOTATION}", given, why))
    return causes


def warn(ingress: Obj, old: Obj | None) -> list[str]:
    if old is None and CLASS_ANNOTATION in objects.annotations(ingress) and objects.spec(ingress).get("ingressClassName") is None:
        return [f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def _check_spec(spec: Obj, *, any_secret: bool, any_wildcard: bool) -> list[Cause]:
    causes: list[Cause] = []
    backend = spec.get("defaultBackend")
    if not spec.get("rules") and backend is None:
        causes.append(errors.invalid_value("spec", spec.get("rules") or None, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        causes += _check_backend("spec.defaultBackend", backend)
    for i, rule in enumerate(spec.get("rules") or ()):
        causes += _check_rule(f"spec.rules[{i}]", rule, any_wildcard=any_wildcard)
    for i, tls in enumerate(spec.get("tls") or ()):
        for j, host in enumerate(tls.get("hosts") or ()):
            causes += _check_host(f"spec.tls[{i}].hosts[{j}]", host)
        if tls.get("secretName") and not any_secret:
            causes += checking.check_name(f"spec.tls[{i}].secretName", tls["secretName"], "subdomain")
    if spec.get("ingressClassName") is not None:
        causes += checking.check_name("spec.ingressClassName", spec["ingressClassName"], "subdomain")
    return causes


def _check_host(path: str, host: str) -> list[Cause]:
    if "*" not in host:
        return checking.check_name(path, host, "subdomain")
    limit = names.NAME_LIMIT
    causes = [errors.invalid_value(path, host, f"must be no more than {limit} characters")] if len(host) > limit else []
    return causes if _wildcard(host) else [*causes, errors.invalid_value(path, host, _NOT_WILDCARD)]


def _check_rule(path: str, rule: Obj, *, any_wildcard: bool) -> list[Cause]:
    causes: list[Cause] = []
    host = rule.get("host") or ""
    if host:
        if ip_checks.parse(host) is not None:
            causes.append(errors.invalid_value(f"{path}.host", host, "must be a DNS name, not an IP address"))
        causes += _check_host(f"{path}.host", host)
    if "*" not in host or not any_wildcard:
        causes += _check_paths(path, rule)
    return causes


def _check_paths(path: str, rule: Obj) -> list[Cause]:
    http = rule.get("http")
    if http is None:
        return []
    if not http.get("paths"):
        return [errors.required(f"{path}.http.paths")]
    return [c for i, p in enumerate(http["paths"]) for c in _check_path(f"{path}.http.paths[{i}]", p)]


def _check_path(path: str, rule: Obj) -> list[Cause]:
    kind, route = rule.get("pathType"), rule.get("path") or ""
    if kind is None:
        return [errors.required(f"{path}.pathType", "pathType must be specified")]
    causes: list[Cause] = []
    if kind not in _PATH_TYPES:
        causes.append(errors.not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    elif not route.startswith("/") and (route or kind != "ImplementationSpecific"):
        causes.append(errors.invalid_value(f"{path}.path", route, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        found = [f"must not contain '{s}'" for s in _BAD_SEQUENCES if s in route]
        found += [f"cannot end with '{s}'" for s in _BAD_ENDS if route.endswith(s)]
        causes += [errors.invalid_value(f"{path}.path", route, m) for m in found]
    return causes + _check_backend(f"{path}.backend", rule.get("backend") or {})


def _check_backend(path: str, backend: Obj) -> list[Cause]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [errors.invalid_value(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return local_reference(f"{path}.resource", resource)
    if service is None:
        return [errors.invalid_value(path, "", "resource or service backend is required")]
    causes = checking.required_name(f"{path}.service.name", service.get("name"), "label")
    port = service.get("port") or {}
    name, number = port.get("name"), port.get("number")
    if name and number:
        causes.append(errors.invalid_value(path, "", "cannot set both port name & port number"))
    elif name:
        causes += checking.check_name(f"{path}.service.port.name", name, "port")
    elif number:
        causes += checking.port_number(f"{path}.service.port.number", number)
    else:
        causes.append(errors.required(path, "port name or number is required"))
    return causes


def local_reference(path: str, reference: Obj) -> list[Cause]:
    """A TypedLocalObjectReference: any group, kind and name that fit into a URL."""
    causes: list[Cause] = []
    if reference.get("apiGroup") is not None:
        causes += checking.check_name(f"{path}.apiGroup", reference["apiGroup"], "subdomain")
    for field in ("kind", "name"):
        causes += checking.required_name(f"{path}.{field}", reference.get(field), "path")
    return causes


def _has_odd_secret(spec: Obj) -> bool:
    return any(tls.get("secretName") and not names.follows(tls["secretName"], "subdomain") for tls in spec.get("tls") or ())


def _has_odd_wildcard(spec: Obj) -> bool:
    return any("*" in (rule.get("host") or "") and _check_paths("", rule) for rule in spec.get("rules") or ())


def validate_status(ingress: Obj, old: Obj | None) -> list[Cause]:
    kept = [i["ip"] for i in _addresses(old or {}) if i.get("ip")]
    causes: list[Cause] = []
    for i, given in enumerate(_addresses(ingress)):
        path, host = f"status.loadBalancer.ingress[{i}]", given.get("hostname")
        if given.get("ip"):
            causes += ip_checks.legacy_ip(f"{path}.ip", given["ip"], kept)
        if host:
            causes += checking.check_name(f"{path}.hostname", host, "subdomain")
            if ip_checks.parse(host) is not None:
                causes.append(errors.invalid_value(f"{path}.hostname", host, "must be a DNS name, not an IP address"))
    return causes


def warn_status(ingress: Obj, old: Obj | None) -> list[str]:
    given = enumerate(_addresses(ingress))
    return [w for i, a in given if a.get("ip") for w in ip_checks.warn_ip(f"status.loadBalancer.ingress[{i}]", a["ip"])]


def _addresses(ingress: Obj) -> list[Obj]:
    return (objects.status(ingress).get("loadBalancer") or {}).get("ingress") or []


def validate_class(ingress_class: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(ingress_class)
    controller = spec.get("controller") or ""
    causes: list[Cause] = []
    if old is not None:
        causes += checking.immutable("spec.controller", controller, objects.spec(old).get("controller") or "")
    if len(controller.encode()) > _CONTROLLER_LIMIT:
        causes.append(errors.too_long("spec.controller", _CONTROLLER_LIMIT))
    causes += _check_controller("spec.controller", controller)
    if spec.get("parameters") is not None:
        causes += _check_parameters("spec.parameters", spec["parameters"])
    return causes


def _check_controller(path: str, controller: str) -> list[Cause]:
    host, _, route = controller.partition("/")
    if not controller:
        return [errors.required(path)]
    if not host or not route:
        return [errors.invalid_value(path, controller, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    causes = checking.check_name(path, host, "subdomain")
    if not _http_path(route):
        causes.append(errors.invalid_value(path, route, f"Invalid path (regex used for validation is '{_HTTP_PATH}')"))
    return causes


def _check_parameters(path: str, parameters: Obj) -> list[Cause]:
    causes = local_reference(path, parameters)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        causes.append(errors.required(f"{path}.scope"))
    elif scope not in _SCOPES:
        causes.append(errors.not_supported(f"{path}.scope", scope, _SCOPES))
    elif scope == "Cluster" and namespace is not None:
        causes.append(errors.forbidden_field(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    elif namespace is None and scope == "Namespace":
        causes.append(errors.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    elif namespace is not None:
        causes += checking.check_name(f"{path}.namespace", namespace, "label")
    return causes
