"""What to say of a pod, or of a template of pods, that was accepted: fields out of use, names given twice, sizes that are no integers.

Called by the `warn` of every kind that makes pods. Contract: kube 1.36 pkg/api/pod warnings; texts as kube-apiserver's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from lightship.kinds import ip_checks
from lightship.kinds.node_labels import DEPRECATED, warn_of_expressions
from lightship.kinds.storage import volume_warnings
from lightship.meta import names, objects, quantity
from lightship.meta.objects import Obj

from .annotations import APPARMOR, LISTS, SECCOMP, SECCOMP_OF_POD, apparmor_field

MOST = 64
"""Warnings of one object: nobody reads more, and a hostile object could ask for very many."""
_COMPARED = 16
"""Ports of the same number with which a further one is compared."""
_HOSTNAME = "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended"
_NO_POD = "a null labelSelector results in matching no pod"
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_FRACTION = "is invalid, must be an integer"
_BYTES = ("memory", "ephemeral-storage")
_POD_AFFINITIES = ("podAffinity", "podAntiAffinity")
_REQUIRED, _PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def warn(pod: Obj, old: Obj | None) -> list[str]:
    """Of new pods only: who changes a pod is seldom a person."""
    if old is not None:
        return []
    found = of_template("", pod)
    name = objects.name(pod)
    if not names.follows(name, "label"):
        found.insert(0, f"metadata.name: {_HOSTNAME}: [{' '.join(names.problems(name, 'label'))}]")
    return found


def of_template(path: str, template: Obj | None) -> list[str]:
    """`path` is where the template is, with a dot at its end."""
    if template is None:
        return []
    return list(islice(_found(path, template.get("metadata") or {}, template.get("spec") or {}), MOST))


def _found(path: str, metadata: Obj, spec: Obj) -> Iterator[str]:
    at = f"{path}spec"
    if annotations := metadata.get("annotations"):
        yield from _annotations(f"{path}metadata.annotations", annotations, spec, template=bool(path))
    for field, look in _OPTIONAL:
        if value := spec.get(field):
            yield from look(f"{at}.{field}", value)
    containers = [(f"{at}.{field}[{i}]", c) for field in LISTS for i, c in enumerate(spec.get(field) or ())]
    ports = 0
    for where, container in containers:
        if resources := container.get("resources"):
            yield from _sizes(where, resources)
        if len(container.get("env") or ()) > 1:
            yield from _variables(where, container["env"])
        ports += len(container.get("ports") or ())
    if ports:
        listed = [(f"{where}.ports[{i}]", port) for where, c in containers for i, port in enumerate(c.get("ports") or ())]
        yield from _ports(listed)
        if ports > 1:
            yield from _port_names(listed)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield f"{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"


def _annotations(path: str, annotations: Obj, spec: Obj, *, template: bool) -> Iterator[str]:
    for key, why in _ANNOTATIONS.items():
        if key in annotations:
            yield f"{path}[{key}]: {why}"
    profiles = spec.get("securityContext") or {}
    if SECCOMP_OF_POD in annotations and profiles.get("seccompProfile") is None:
        yield f"{path}[{SECCOMP_OF_POD}]: {_SECCOMP}"
    for field in LISTS:
        for container in spec.get(field) or ():
            context, name = container.get("securityContext") or {}, container.get("name") or ""
            if f"{SECCOMP}{name}" in annotations and context.get("seccompProfile") is None:
                yield f"{path}[{SECCOMP}{name}]: {_SECCOMP}"
            told = annotations.get(f"{APPARMOR}{name}")
            if told is not None and _outdated(told, context.get("appArmorProfile"), profiles.get("appArmorProfile"), template=template):
                yield f'{path}[{APPARMOR}{name}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _outdated(told: str, own: Obj | None, whole: Obj | None, *, template: bool) -> bool:
    """Whether an annotation says what a field should. A pod's field was already made of its annotation."""
    said = apparmor_field(told)
    if template:
        return own is None and (whole is None or said != whole)
    return said is None or (own == said and said != whole)


def _node_selector(path: str, selector: Obj) -> Iterator[str]:
    for key in selector:
        if key in DEPRECATED:
            yield f"{path}[{key}]: {DEPRECATED[key]}"


def _affinity(path: str, affinity: Obj) -> Iterator[str]:
    nodes = affinity.get("nodeAffinity") or {}
    for i, term in enumerate((nodes.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        yield from warn_of_expressions(f"{path}.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{i}]", term)
    for i, weighed in enumerate(nodes.get(_PREFERRED) or ()):
        yield from _preference(f"{path}.nodeAffinity.{_PREFERRED}[{i}].preference", weighed.get("preference") or {})
    for field in _POD_AFFINITIES:
        pods = affinity.get(field) or {}
        for i, term in enumerate(pods.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{field}.{_REQUIRED}[{i}].labelSelector: {_NO_POD}"
        for i, weighed in enumerate(pods.get(_PREFERRED) or ()):
            if (weighed.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{path}.{field}.{_PREFERRED}[{i}].podAffinityTerm.labelSelector: {_NO_POD}"


def _preference(path: str, preference: Obj) -> Iterator[str]:
    yield from warn_of_expressions(path, preference)
    for i, expression in enumerate(preference.get("matchExpressions") or ()):
        for j, value in enumerate(expression.get("values") or ()):
            for wrong in names.problems(value, "label-value"):
                yield f"{path}.matchExpressions[{i}].values[{j}]: {value} is invalid, {wrong}"


def _spread(path: str, constraints: list[Obj]) -> Iterator[str]:
    for i, constraint in enumerate(constraints):
        key = constraint.get("topologyKey") or ""
        if key in DEPRECATED:
            yield f"{path}[{i}].topologyKey: {key} is {DEPRECATED[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{path}[{i}].labelSelector: {_NO_POD}"


def _aliases(path: str, aliases: list[Obj]) -> Iterator[str]:
    taken: set[str] = set()
    for i, alias in enumerate(aliases):
        address = alias.get("ip") or ""
        if address in taken:
            yield f'{path}[{i}].ip: duplicate ip "{address}"'
        taken.add(address)
        yield from ip_checks.warn_ip(f"{path}[{i}].ip", address)


def _pull_secrets(path: str, secrets: list[Obj]) -> Iterator[str]:
    taken: set[str] = set()
    for i, secret in enumerate(secrets):
        name = secret.get("name") or ""
        if name in taken:
            yield f'{path}[{i}].name: duplicate name "{name}"'
        taken.add(name)
    yield from (f'{path}[{i}].name: invalid empty name ""' for i, secret in enumerate(secrets) if not secret.get("name"))


def _dns(path: str, config: Obj) -> Iterator[str]:
    for i, server in enumerate(config.get("nameservers") or ()):
        yield from ip_checks.warn_ip(f"{path}.nameservers[{i}]", server)


def _amounts(path: str, amounts: Obj) -> Iterator[str]:
    for name in _BYTES:
        size = amounts.get(name)
        if size is not None and _is_fraction(size):
            yield f'{path}[{name}]: fractional byte value "{quantity.canonical(size)}" {_FRACTION}'


@lru_cache(maxsize=1024)
def _is_fraction(size: str | int | float) -> bool:
    """Cached: clusters know few sizes."""
    return quantity.millis(size) % 1000 != 0


def _sizes(path: str, resources: Obj) -> Iterator[str]:
    listed = [(field, amounts) for field in ("limits", "requests") if (amounts := resources.get(field))]
    for name in _BYTES:
        for field, amounts in listed:
            size = amounts.get(name)
            if size is not None and _is_fraction(size):
                yield f'{path}.resources.{field}[{name}]: fractional byte value "{quantity.canonical(size)}" {_FRACTION}'


def _variables(path: str, variables: list[Obj]) -> Iterator[str]:
    taken: set[str] = set()
    for i, variable in enumerate(variables):
        name = variable.get("name") or ""
        if name not in taken:
            taken.add(name)
            continue
        value, reference = variable.get("value") or "", f"$({name})"
        if variable.get("valueFrom") is not None or value == reference or reference not in value:
            yield f'{path}.env[{i}]: hides previous definition of "{name}", which may be dropped when using apply'


def _ports(ports: list[tuple[str, Obj]]) -> Iterator[str]:
    seen: defaultdict[tuple[Any, Any], list[tuple[str, Obj]]] = defaultdict(list)
    for path, port in ports:
        address, outside = port.get("hostIP") or "", port.get("hostPort") or 0
        if address and not outside:
            yield f"{path}: hostIP set without hostPort: {_as_go(port)}"
        others = seen[port.get("containerPort"), port.get("protocol")]
        for where, other in others[:_COMPARED]:
            other_address, other_outside = other.get("hostIP") or "", other.get("hostPort") or 0
            if (address, outside) == (other_address, other_outside):
                yield f"{path}: duplicate port definition with {where}"
            elif not outside or not other_outside:
                yield f"{path}: overlapping port definition with {where}"
            elif outside == other_outside and (not address) != (not other_address):
                yield f"{path}: dangerously ambiguous port definition with {where}"
        others.append((path, port))


def _as_go(port: Obj) -> str:
    fields = {"Name": "name", "HostPort": "hostPort", "ContainerPort": "containerPort", "Protocol": "protocol", "HostIP": "hostIP"}
    return "{" + " ".join(f"{shown}:{port.get(name) or (0 if 'Port' in shown else '')}" for shown, name in fields.items()) + "}"


def _port_names(ports: list[tuple[str, Obj]]) -> Iterator[str]:
    taken: dict[str, str] = {}
    for path, port in ports:
        name = port.get("name")
        if name and name in taken:
            other = taken[name]
            why = f"services and probes that select ports by name will use {other}"
            yield f'{path}: duplicate port name "{name}" with {other}, {why}'
        elif name:
            taken[name] = path


def _volumes(path: str, volumes: list[Obj]) -> Iterator[str]:
    for i, volume in enumerate(volumes):
        yield from volume_warnings.of_volume(f"{path}[{i}]", volume)


_OPTIONAL: tuple[tuple[str, Callable[[str, Any], Iterator[str]]], ...] = (
    ("nodeSelector", _node_selector),
    ("affinity", _affinity),
    ("topologySpreadConstraints", _spread),
    ("volumes", _volumes),
    ("imagePullSecrets", _pull_secrets),
    ("overhead", _amounts),
    ("dnsConfig", _dns),
    ("hostAliases", _aliases),
)
"""Fields of a pod's spec that need a look, where they are set."""
