"""DefaultTolerationSeconds: a pod stays for five minutes on a node that is lost, unless it says otherwise.

Contract: kube-apiserver plugin/pkg/admission/defaulttolerationseconds.
"""

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve pods."""
    pods = core.catalogue.find("", "v1", "pods")
    return [] if pods is None else [Admission(name="DefaultTolerationSeconds", resources=(pods,), mutate=_tolerate, whole=True)]


async def _tolerate(request: AdmissionRequest) -> list[str] | None:
    pod = request.obj
    if pod is None or request.subresource:
        return None
    spec = pod["spec"]
    given: list[Obj] = spec.get("tolerations") or []
    missing = [taint for taint in _TAINTS if not any(_covers(toleration, taint) for toleration in given)]
    if missing:
        added = [{"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS} for taint in missing]
        spec["tolerations"] = [*given, *added]
    return None


def _covers(toleration: Obj, taint: str) -> bool:
    return toleration.get("key") in (None, "", taint) and toleration.get("effect") in (None, "", "NoExecute")
