"""What can be wrong with what happens to a running container: probes, hooks, restarts, resizes.

Called by `container_checks`. Contract: kube 1.36 validateProbe, validateLifecycle, validateContainerRestartPolicy, validateResizePolicy;
texts compared with kube-apiserver.
"""

import re
from typing import Any, NamedTuple

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_HEADER = re.compile("[-A-Za-z0-9]+")
_NO_HEADER = (
    "a valid HTTP header must consist of alphanumeric characters or '-' "
    f"(e.g. 'X-Header-Name', regex used for validation is '{_HEADER.pattern}')"
)
_SCHEMES = ("HTTP", "HTTPS")
_POLICIES = ("Always", "Never", "OnFailure")
_ACTIONS = ("Restart", "RestartAllContainers")
_EXIT_OPERATORS = ("In", "NotIn")
_MOST_RULES, _MOST_CODES = 20, 255
_RESIZED = ("cpu", "memory")
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
_PLAIN_SIGNALS = """
    ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG
    USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX
    """
_REAL_TIME = (*(f"SIGRTMIN+{i}" for i in range(1, 16)), *(f"SIGRTMAX-{i}" for i in range(1, 15)))
_SIGNALS = {
    "windows": ("SIGKILL", "SIGTERM"),
    "linux": tuple(sorted([*(f"SIG{name}" for name in _PLAIN_SIGNALS.split()), *_REAL_TIME])),
}


class Circumstances(NamedTuple):
    """What these rules must know of the pod."""

    grace: int | None = None
    system: str = ""
    restarts: str = ""


def check_life(path: str, container: Obj, pod: Circumstances) -> list[Cause]:
    """Hooks and probes, of a container that may have them."""
    causes: list[Cause] = []
    lifecycle = container.get("lifecycle") or {}
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            causes += _check_handler(f"{path}.lifecycle.{hook}", lifecycle[hook], pod)
    if lifecycle.get("stopSignal") is not None:
        causes += _check_signal(f"{path}.lifecycle.stopSignal", lifecycle["stopSignal"], pod.system)
    for name in PROBES:
        if container.get(name) is not None:
            causes += _check_probe(f"{path}.{name}", name, container[name], pod)
    return causes


def check_lifeless(path: str, container: Obj) -> list[Cause]:
    """Hooks and probes, of a container that ends by itself."""
    why = "may not be set for init containers without restartPolicy=Always"
    return [errors.forbidden_field(f"{path}.{field}", why) for field in ("lifecycle", *PROBES) if container.get(field) is not None]


def _check_signal(path: str, signal: str, system: str) -> list[Cause]:
    if not system:
        return [errors.forbidden_field(path, "may not be set for containers with empty `spec.os.name`")]
    return checking.one_of(path, signal, _SIGNALS[system]) if system in _SIGNALS else []


def _check_probe(path: str, name: str, probe: Obj, pod: Circumstances) -> list[Cause]:
    causes = _check_handler(path, probe, pod)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        causes += checking.not_negative(f"{path}.{field}", probe.get(field))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        causes.append(errors.invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if name == "readinessProbe":
        if grace is not None:
            causes.append(errors.invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes"))
    elif probe.get("successThreshold") not in (None, 1):
        causes.append(errors.invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


def _check_handler(path: str, handler: Obj, pod: Circumstances) -> list[Cause]:
    """The first that is given counts."""
    given = [kind for kind in _HANDLERS if handler.get(kind) is not None]
    if not given:
        return [errors.required(path, "must specify a handler type")]
    causes = _check_action(f"{path}.{given[0]}", given[0], handler[given[0]], pod)
    return causes + [errors.forbidden_field(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in given[1:]]


def _check_action(path: str, kind: str, action: Obj, pod: Circumstances) -> list[Cause]:
    if kind == "exec":
        return [] if action.get("command") else [errors.required(f"{path}.command")]
    if kind == "sleep":
        seconds = action.get("seconds") or 0
        if pod.grace is None or 0 <= seconds <= pod.grace:
            return []
        why = f"must be non-negative and less than terminationGracePeriodSeconds ({pod.grace})"
        return [errors.invalid_value(path, seconds, why)]
    port: Any = action.get("port", 0)
    causes = checking.port_number_or_name(f"{path}.port", port)
    if kind == "httpGet":
        causes += checking.one_of(f"{path}.scheme", action.get("scheme") or "", _SCHEMES)
        wrong = [h.get("name") or "" for h in action.get("httpHeaders") or () if not _HEADER.fullmatch(h.get("name") or "")]
        causes += [errors.invalid_value(f"{path}.httpHeaders", name, _NO_HEADER) for name in wrong]
    return causes


def check_restarts(path: str, container: Obj) -> list[Cause]:
    """When a container is started anew, other than its pod says."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    causes: list[Cause] = []
    if policy is None and rules:
        causes.append(errors.required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"))
    causes += checking.one_of(f"{path}.restartPolicy", policy, _POLICIES)
    if len(rules) > _MOST_RULES:
        causes.append(errors.too_many(f"{path}.restartPolicyRules", len(rules), _MOST_RULES))
    for i, rule in enumerate(rules):
        at, codes = f"{path}.restartPolicyRules[{i}]", rule.get("exitCodes")
        causes += checking.one_of(f"{at}.action", rule.get("action") or "", _ACTIONS)
        if codes is None:
            causes.append(errors.required(f"{at}.exitCodes", "must be specified"))
            continue
        causes += checking.one_of(f"{at}.exitCodes.operator", codes.get("operator") or "", _EXIT_OPERATORS)
        if len(codes.get("values") or ()) > _MOST_CODES:
            causes.append(errors.too_many(f"{at}.exitCodes.values", len(codes["values"]), _MOST_CODES))
    return causes


def check_init_restarts(path: str, container: Obj) -> list[Cause]:
    if container.get("restartPolicy") is None:
        why = "must specify restartPolicy when restart rules are used"
        return [errors.required(f"{path}.restartPolicy", why)] if container.get("restartPolicyRules") else []
    return check_restarts(path, container)


def check_resizes(path: str, policies: list[Obj], restarts: str) -> list[Cause]:
    """What a change of resources does to a container; `restarts` is the pod's own policy."""
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, item in enumerate(policies):
        resource, policy = item.get("resourceName") or "", item.get("restartPolicy") or ""
        if resource in taken:
            causes.append(errors.duplicate(f"{path}[{i}]", resource))
        taken.add(resource)
        for value, choices in ((resource, _RESIZED), (policy, _RESIZE_POLICIES)):
            causes += checking.one_of(path, value, choices) if value else [errors.required(path)]
        if restarts == "Never" and policy != "NotRequired":
            causes.append(errors.invalid_value(path, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
    return causes


def check_init_resizes(path: str, policies: list[Obj]) -> list[Cause]:
    why = "must not be set to 'RestartContainer' for non-sidecar initContainers"
    wrong = [i for i, item in enumerate(policies) if item.get("restartPolicy") == "RestartContainer"]
    return [errors.invalid_value(f"{path}[{i}].restartPolicy", "RestartContainer", why) for i in wrong]
