"""A container's environment, command and arguments, resolved as the kubelet does.

Pure: the agent fetches ConfigMaps, Secrets and Services beforehand and calls `resolve` right before a container starts.
Contract: kubelet makeEnvironmentVariables (order: service links < envFrom < env), `$(VAR)` expansion with `$$` as escape.
"""

import re
from collections.abc import Callable, Iterable, Mapping

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import downward, envfiles, sources
from .sources import Found, MissingError, Ref

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside the container's own spec that its environment may show."""

    pod: Obj
    found: Found
    services: list[Obj]
    """Services of the pod's namespace."""
    api_host: str
    api_port: int
    """Where this pod reaches the API: KUBERNETES_SERVICE_HOST and _PORT."""
    host_ip: str
    pod_ip: str
    allocatable: Mapping[str, str]
    """The node's, for limits that are not set."""
    file: Callable[[str, str], str] | None = None
    """The text of a file in one of the pod's volumes, by the volume's name and the path in it. May raise `MissingError`."""


class Command(msgspec.Struct, frozen=True):
    """`argv` is empty when neither command nor args are given: then the image decides."""

    command: list[str]
    args: list[str]
    env: dict[str, str]


def resolve(container: Obj, around: Surroundings) -> Command:
    """The whole environment a container declares. Raises `MissingError` with the kubelet's text for what is not there (yet)."""
    services = _service_variables(around)
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        variables.update(_from_source(source, around))
    for entry in container.get("env") or ():
        value = _value(container, entry, {**services, **variables}, around)
        if value is not None:
            variables[entry["name"]] = value
    env = {**services, **variables}
    command = [expand(text, env) for text in container.get("command") or ()]
    args = [expand(text, env) for text in container.get("args") or ()]
    return Command(command, args, env)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a literal `$`; unknown names stay as they are written."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text) if "$" in text else text


def unknown(text: str, variables: Mapping[str, str]) -> list[str]:
    """The names that `text` refers to and that have no value, in order. Contract: what a `subPathExpr` may not do."""
    found = {match[1] for match in _REFERENCE.finditer(text) if match[1] is not None}
    return sorted(name for name in found if not variables.get(name))


def _value(container: Obj, entry: Obj, variables: Mapping[str, str], around: Surroundings) -> str | None:
    """The value of one `env` entry; None when an optional source is missing."""
    if entry.get("value"):
        return expand(entry["value"], variables)
    value_from = entry.get("valueFrom")
    if not value_from:
        return ""
    if "configMapKeyRef" in value_from:
        return _key(Ref("ConfigMap", value_from["configMapKeyRef"].get("name", "")), value_from["configMapKeyRef"], around)
    if "secretKeyRef" in value_from:
        return _key(Ref("Secret", value_from["secretKeyRef"].get("name", "")), value_from["secretKeyRef"], around)
    if "fileKeyRef" in value_from:
        return _from_file(value_from["fileKeyRef"], around)
    try:
        if "fieldRef" in value_from:
            return downward.field(around.pod, value_from["fieldRef"].get("fieldPath", ""), host_ip=around.host_ip, pod_ip=around.pod_ip)
        if "resourceFieldRef" in value_from:
            selector = value_from["resourceFieldRef"]
            limits = downward.defaults(around.pod, around.allocatable)
            return downward.resource(around.pod, selector.get("containerName") or container["name"], selector, limits)
    except ValueError as error:
        raise MissingError(str(error)) from error
    raise MissingError(f"env {entry['name']}: unsupported valueFrom: {', '.join(value_from)}")


def _key(ref: Ref, selector: Obj, around: Surroundings) -> str | None:
    optional = bool(selector.get("optional"))
    if optional and around.found.get(ref) is None:
        return None
    data = sources.texts(ref, sources.find(around.found, ref))
    key = selector.get("key", "")
    if key not in data:
        if optional:
            return None
        raise MissingError(f"couldn't find key {key} in {ref.kind} {objects.namespace(around.pod)}/{ref.name}")
    return _text(data[key])


def _from_file(selector: Obj, around: Surroundings) -> str | None:
    volumes = {v["name"] for v in objects.spec(around.pod).get("volumes") or ()}
    volume, path, key = (selector.get(field) or "" for field in ("volumeName", "path", "key"))
    if volume not in volumes or around.file is None:
        raise MissingError(f'cannot find the volume "{volume}" referenced by FileKeyRef')
    try:
        found = envfiles.value(around.file(volume, path), key)
    except ValueError as error:
        raise MissingError("couldn't parse env file") from error
    if not found and not selector.get("optional"):
        raise MissingError(f'environment variable key "{key}" not found in file "{path}"')
    return found or None


def _from_source(source: Obj, around: Surroundings) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    variables: dict[str, str] = {}
    for ref, selector in _refs(source):
        if selector.get("optional") and around.found.get(ref) is None:
            continue
        data = sources.texts(ref, sources.find(around.found, ref))
        variables.update({prefix + key: _text(value) for key, value in data.items()})
    return variables


def _text(value: bytes) -> str:
    """Any bytes but a zero, which ends a variable; those that are no text pass through as they are."""
    if b"\0" in value:
        raise MissingError("a value with a zero byte cannot be a variable: mount it as a file")
    return value.decode(errors="surrogateescape")


def _refs(source: Obj) -> Iterable[tuple[Ref, Obj]]:
    if "configMapRef" in source:
        yield Ref("ConfigMap", source["configMapRef"].get("name", "")), source["configMapRef"]
    if "secretRef" in source:
        yield Ref("Secret", source["secretRef"].get("name", "")), source["secretRef"]


# service links ----------------------------------------------------------------------------------------------------------------------


def _service_variables(around: Surroundings) -> dict[str, str]:
    variables: dict[str, str] = {}
    if objects.spec(around.pod).get("enableServiceLinks") is not False:
        for service in sorted(around.services, key=objects.name):
            variables.update(service_links(service))
    variables.update(_links("kubernetes", around.api_host, [{"name": "https", "port": around.api_port, "protocol": "TCP"}]))
    return variables


def service_links(service: Obj) -> dict[str, str]:
    """The variables that announce one Service; none for a headless one."""
    spec = objects.spec(service)
    address = spec.get("clusterIP") or ""
    if address in ("", "None"):
        return {}
    return _links(objects.name(service), address, spec.get("ports") or [])


def _links(name: str, address: str, ports: list[Obj]) -> dict[str, str]:
    if not ports:
        return {}
    prefix = name.upper().replace("-", "_")
    first = ports[0]
    variables = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            variables[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    variables[f"{prefix}_PORT"] = f"{_protocol(first)}://{address}:{first['port']}"
    for port in ports:
        link = f"{prefix}_PORT_{port['port']}_{_protocol(port).upper()}"
        variables[link] = f"{_protocol(port)}://{address}:{port['port']}"
        variables |= {f"{link}_PROTO": _protocol(port), f"{link}_PORT": str(port["port"]), f"{link}_ADDR": address}
    return variables


def _protocol(port: Obj) -> str:
    return str(port.get("protocol") or "TCP").lower()
