"""What can be wrong with the specs of ResourceClaims, ResourceClaimTemplates and DeviceClasses.

Called through `resources`; what a claim's status says is `resource_claim_checks`.
Contract: kube 1.36 pkg/apis/resource/validation, pkg/registry/resource strategies.
"""

from lightship.kinds import checking
from lightship.kinds.pods import resource_checks
from lightship.meta import errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import checks as device_checks
from .checks import MAX_CONFIGS, MAX_REQUESTS, by_name, each, label

_MAX_ALTERNATIVES = 8
_MODES = ("All", "ExactCount")
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_ATTRIBUTE = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
_SHOWN = {"uid": "uID"}
_TEMPLATE_META = frozenset({"labels", "annotations"})


class RequestNames:
    """The requests of a claim, and the alternatives of each."""

    def __init__(self, devices: Obj) -> None:
        self._found = {by_name(r): {by_name(s) for s in r.get("firstAvailable") or ()} for r in devices.get("requests") or ()}

    def check(self, path: str, reference: str) -> list[Cause]:
        """A reference to a request, or to one of its alternatives."""
        first, *rest = reference.split("/")
        if len(rest) > 1:
            return [errors.invalid_value(path, reference, _REFERENCE)]
        causes = [c for segment in (first, *rest) for c in label(path, segment)]
        known = first in self._found and all(name in self._found[first] for name in rest)
        return causes if known else [*causes, errors.invalid_value(path, reference, _REFERENCE)]


def validate_claim(claim: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(claim)
    if old is not None:
        return checking.immutable("spec", spec, objects.spec(old))
    return _check_devices("spec.devices", spec.get("devices") or {})


def validate_template(template: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(template)
    causes = _check_template_meta("spec.metadata", spec.get("metadata") or {})
    causes += _check_devices("spec.spec.devices", (spec.get("spec") or {}).get("devices") or {})
    return causes + (checking.immutable("spec", spec, objects.spec(old)) if old is not None else [])


def _check_template_meta(path: str, meta: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key in meta.get("annotations") or {}:
        causes += checking.check_name(f"{path}.annotations", key, "qualified") if not names.follows(key.lower(), "qualified") else []
    causes += checking.labels(f"{path}.labels", meta.get("labels"))
    for field in sorted(f for f, value in meta.items() if value and f not in _TEMPLATE_META):
        causes.append(errors.forbidden_field(f"{path}.{_SHOWN.get(field, field)}", "cannot be set"))
    return causes


def _check_devices(path: str, devices: Obj) -> list[Cause]:
    known = RequestNames(devices)
    causes = each(f"{path}.requests", devices.get("requests"), MAX_REQUESTS, _check_request, by_name)
    causes += each(f"{path}.constraints", devices.get("constraints"), 32, lambda at, c: _check_constraint(at, c, known))
    return causes + each(f"{path}.config", devices.get("config"), MAX_CONFIGS, lambda at, c: check_config(at, c, known))


def check_config(path: str, config: Obj, known: RequestNames) -> list[Cause]:
    return _check_references(path, config, known) + device_checks.configuration(path, config)


def _check_references(path: str, holder: Obj, known: RequestNames) -> list[Cause]:
    return each(f"{path}.requests", holder.get("requests"), MAX_REQUESTS, known.check, lambda name: name)


def _check_request(path: str, request: Obj) -> list[Cause]:
    causes = label(f"{path}.name", by_name(request))
    alternatives, exactly = request.get("firstAvailable"), request.get("exactly")
    if alternatives and exactly is not None:
        return [*causes, errors.invalid_value(path, None, f"{_ONE_KIND}, but multiple fields are set")]
    if alternatives:
        return causes + each(f"{path}.firstAvailable", alternatives, _MAX_ALTERNATIVES, _check_alternative, by_name)
    return causes + (_check_exact(f"{path}.exactly", exactly) if exactly is not None else [errors.required(path, _ONE_KIND)])


def _check_alternative(path: str, request: Obj) -> list[Cause]:
    return label(f"{path}.name", by_name(request)) + _check_exact(path, request)


def _check_exact(path: str, request: Obj) -> list[Cause]:
    causes = checking.required_name(f"{path}.deviceClassName", request.get("deviceClassName"), "subdomain")
    causes += device_checks.selectors(f"{path}.selectors", request.get("selectors"))
    mode, count = request.get("allocationMode") or "", request.get("count") or 0
    if mode == "All" and count:
        causes.append(errors.invalid_value(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount" and count <= 0:
        causes.append(errors.invalid_value(f"{path}.count", count, "must be greater than zero"))
    causes += checking.one_of(f"{path}.allocationMode", mode, _MODES)
    return causes + each(f"{path}.tolerations", request.get("tolerations"), -1, device_checks.toleration)


def _check_constraint(path: str, constraint: Obj, known: RequestNames) -> list[Cause]:
    causes = _check_references(path, constraint, known)
    for field in ("matchAttribute", "distinctAttribute"):
        if constraint.get(field) is not None:
            return causes + device_checks.fully_qualified(f"{path}.{field}", constraint[field])
    return [*causes, errors.required(path, _ONE_ATTRIBUTE)]


def validate_class(device_class: Obj, old: Obj | None) -> list[Cause]:
    spec, before = objects.spec(device_class), objects.spec(old or {})
    stored = {field: old is not None and same(spec.get(field), before.get(field)) for field in ("selectors", "config")}
    causes = device_checks.selectors("spec.selectors", spec.get("selectors"), stored=stored["selectors"])

    def config(at: str, given: Obj) -> list[Cause]:
        return device_checks.configuration(at, given, stored=stored["config"])

    causes += each("spec.config", spec.get("config"), MAX_CONFIGS, config)
    name = spec.get("extendedResourceName")
    if name is not None and not resource_checks.is_extended(name):
        causes.append(errors.invalid_value("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return causes
