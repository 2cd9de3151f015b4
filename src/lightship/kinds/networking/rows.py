"""Table rows of Ingresses, IngressClasses and NetworkPolicies.

Called through `networking`. Contract: kube 1.36 pkg/printers/internalversion.
"""

from typing import Any

from lightship.kinds import cells
from lightship.meta import objects
from lightship.meta.objects import Obj

_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_HOSTS_SHOWN = 3
_ADDRESS_WIDTH = 16


def ingress_row(ingress: Obj, now: float) -> list[Any]:
    spec = objects.spec(ingress)
    class_name = spec.get("ingressClassName")
    return [
        objects.name(ingress),
        cells.NONE if class_name is None else class_name,
        _hosts(spec.get("rules") or []),
        _addresses(ingress),
        "80, 443" if spec.get("tls") else "80",
        cells.created(ingress, now),
    ]


def _hosts(rules: list[Obj]) -> str:
    """Rules after the third host are counted, whether or not they name one."""
    shown: list[str] = []
    for rule in rules:
        if len(shown) == _HOSTS_SHOWN:
            return f"{','.join(shown)} + {len(rules) - _HOSTS_SHOWN} more..."
        if rule.get("host"):
            shown.append(rule["host"])
    return ",".join(shown) or "*"


def _addresses(ingress: Obj) -> str:
    given = (objects.status(ingress).get("loadBalancer") or {}).get("ingress") or ()
    found = ",".join(sorted({i.get("ip") or i.get("hostname") or "" for i in given} - {""}))
    return found if len(found) <= _ADDRESS_WIDTH else found[: _ADDRESS_WIDTH - 3] + "..."


def class_row(ingress_class: Obj, now: float) -> list[Any]:
    spec = objects.spec(ingress_class)
    is_default = objects.annotations(ingress_class).get(_DEFAULT_CLASS) == "true"
    name = objects.name(ingress_class) + (" (default)" if is_default else "")
    return [name, spec.get("controller") or "", _parameters(spec.get("parameters")), cells.created(ingress_class, now)]


def _parameters(parameters: Obj | None) -> str:
    if parameters is None:
        return cells.NONE
    group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") is not None else ""
    return f"{parameters.get('kind') or ''}{group}/{parameters.get('name') or ''}"


def policy_row(policy: Obj, now: float) -> list[Any]:
    return [objects.name(policy), cells.selector(objects.spec(policy).get("podSelector")), cells.created(policy, now)]
