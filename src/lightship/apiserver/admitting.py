"""Admission of requests that write no object of their own: a Binding, an Eviction, a TokenRequest, a conversation with a pod.

What such a request says is an object of another kind (`Binding`, `PodExecOptions`), and that is what rules, policies and webhooks are
shown; the resource stays the one of the URL. `subresources`, `streams` and `proxying` ask before they act, as the real server does.
Contract: k8s.io/apiserver pkg/endpoints/handlers (create.go, rest.go ConnectResource); admission.k8s.io/v1 AdmissionRequest.
"""

from typing import Literal

from lightship.apiserver.core import Core
from lightship.apiserver.requests import Request
from lightship.apiserver.rounds import admit, mutate
from lightship.apiserver.served import Served
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions


async def ask(
    core: Core,
    served: Served,
    request: Request,
    obj: Obj,
    options: WriteOptions | None = None,
    *,
    operation: Literal["CREATE", "CONNECT"] = "CREATE",
) -> None:
    """Let `obj` be changed, in place, and judged. Raises the refusal."""
    rules = served.rules.running(core.store, operation, request.subresource)
    if not (rules.mutating or rules.validating):
        return
    wish = AdmissionRequest(
        operation=operation,
        resource=served.resource,
        subresource=request.subresource,
        namespace=request.namespace,
        name=request.name,
        obj=obj,
        old=None,
        user=request.user,
        dry_run=options.dry_run if options is not None else False,
        options=options,
        warnings=request.warnings,
        annotations=request.annotations,
    )
    await mutate(rules.mutating, wish)
    await admit(rules.validating, wish)
