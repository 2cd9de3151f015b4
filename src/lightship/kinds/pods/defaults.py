"""Defaults of pods and pod templates, filled in place.

Called through `pods.default_pod_spec` by every kind that holds a pod template, and by the Pod resource, which has a few defaults that
templates do not have. Runs on objects of the right types, of which anything may be missing. Refuses to judge.
Contract: kube 1.36 pkg/apis/core/v1/defaults.go; compared with what kube-apiserver returns for the same pods.
"""

import re

from lightship.kinds import amounts
from lightship.kinds.storage import volume_rules
from lightship.meta import quantity
from lightship.meta.objects import Obj

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_RARE = frozenset({"lifecycle", *_PROBES})
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_SPEC = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
_CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_FILES = frozenset({"secret", "configMap", "downwardAPI", "projected", "ephemeral", "image", *volume_rules.DEFAULTED})
"""Volumes that have defaults inside."""
_NOT_ENABLED = ("clusterTrustBundle", "podCertificate")
"""Projections that the real server forgets unless it is told to enable them."""
_FILE_MODE = 0o644
_TOKEN_SECONDS = 3600
_TOLERATION_SECONDS = 300
_NO_EXECUTE = ("NoExecute", None, "")
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


_IMAGE = re.compile(
    r"(?P<name>(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_IMAGE_LIMIT, _LONGEST_IMAGE = 255, 1024
_DIGEST = re.compile("[0-9a-f]{64}")


def default_pod_spec(spec: Obj) -> None:
    """What a pod template leaves out, as the API server fills it in."""
    _default_spec(spec, _containers(spec))


def _default_spec(spec: Obj, containers: list[Obj]) -> None:
    for field, value in _SPEC.items():
        if spec.get(field) in (None, ""):  # a grace of no seconds is one
            spec[field] = value
    spec.setdefault("securityContext", {})
    _mirror_account(spec)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    for container in containers:
        _default_container(container)
    for holder in (*containers, spec):
        if resources := holder.get("resources"):
            amounts.canonical(resources.get("limits"))
            amounts.canonical(resources.get("requests"))
    amounts.canonical(spec.get("overhead"))


def default_pod(pod: Obj) -> None:
    """A pod proper: besides what templates have, requests taken from limits, and the links to services."""
    spec = pod.setdefault("spec", {})
    containers = _containers(spec)
    _default_spec(spec, containers)
    spec.setdefault("enableServiceLinks", True)
    for holder in (*containers, spec):
        resources = holder.get("resources")
        if resources and resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    if spec.get("hostNetwork"):
        for container in containers:
            for port in container.get("ports") or ():
                if not port.get("hostPort") and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]


def tolerate_lost_nodes(spec: Obj) -> None:
    """What the DefaultTolerationSeconds plugin adds to a new pod: five minutes for a node to come back."""
    tolerations = spec.get("tolerations") or []
    tolerated = {t.get("key") or "" for t in tolerations if t.get("effect") in _NO_EXECUTE}
    missing = [] if "" in tolerated else [key for key in _TOLERATED if key not in tolerated]
    added = [{"key": k, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATION_SECONDS} for k in missing]
    if added:
        spec["tolerations"] = [*tolerations, *added]


def _containers(spec: Obj) -> list[Obj]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ()), *(spec.get("ephemeralContainers") or ())]


def _mirror_account(spec: Obj) -> None:
    """`serviceAccount` is the old name of `serviceAccountName`, and both are always shown."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_container(container: Obj) -> None:
    for field, value in _CONTAINER.items():
        if not container.get(field):
            container[field] = value
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        if variable.get("valueFrom"):
            _default_field_ref(variable["valueFrom"])
    if not _RARE.isdisjoint(container):
        _default_rare(container)


def _default_rare(container: Obj) -> None:
    for name in _PROBES:
        if container.get(name) is not None:
            _default_probe(container[name])
    (container.get("lifecycle") or {}).pop("stopSignal", None)
    if container.get("lifecycle") == {}:
        del container["lifecycle"]
    for name in _HOOKS:
        _default_http((container.get("lifecycle") or {}).get(name) or {})


def pull_policy(image: str) -> str:
    """`Always` for `latest` or no tag at all, otherwise `IfNotPresent`, which also goes for what is no image's name."""
    found = _IMAGE.fullmatch(image) if len(image) <= _LONGEST_IMAGE else None
    if found is None or len(found["name"]) > _IMAGE_LIMIT or _DIGEST.fullmatch(found["name"]):
        return "IfNotPresent"
    return "Always" if found["tag"] == "latest" or not (found["tag"] or found["digest"]) else "IfNotPresent"


def _default_probe(probe: Obj) -> None:
    for field, value in _PROBE.items():
        if not probe.get(field):
            probe[field] = value
    _default_http(probe)
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _default_http(handler: Obj) -> None:
    action = handler.get("httpGet")
    if action is not None:
        action["path"] = action.get("path") or "/"
        action["scheme"] = action.get("scheme") or "HTTP"


def _default_field_ref(source: Obj) -> None:
    reference = source.get("fieldRef")
    if reference is not None:
        reference["apiVersion"] = reference.get("apiVersion") or "v1"
    resource = source.get("resourceFieldRef")
    if resource is not None:
        resource["divisor"] = quantity.canonical(resource.get("divisor") or "0")


def _default_volume(volume: Obj) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    if _FILES.isdisjoint(volume):
        return
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(kind)
        if source is not None:
            source.setdefault("defaultMode", _FILE_MODE)
            for item in source.get("items") or ():
                _default_field_ref(item)
    for source in (volume.get("projected") or {}).get("sources") or ():
        _default_projection(source)
    if volume.get("image") is not None and not volume["image"].get("pullPolicy"):
        volume["image"]["pullPolicy"] = pull_policy(volume["image"].get("reference") or "")
    volume_rules.default_spec(volume)
    claim = ((volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}).get("spec")
    if claim is not None:
        claim.setdefault("volumeMode", "Filesystem")


def _default_projection(source: Obj) -> None:
    for field in _NOT_ENABLED:
        source.pop(field, None)
    token = source.get("serviceAccountToken")
    if token is not None:
        token.setdefault("expirationSeconds", _TOKEN_SECONDS)
    for item in (source.get("downwardAPI") or {}).get("items") or ():
        _default_field_ref(item)
