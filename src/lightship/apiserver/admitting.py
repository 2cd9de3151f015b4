"""Admission of requests that write no object of their own: a Binding, an Eviction, a TokenRequest, a conversation with a pod.

What such a request says is an object of another kind (`Binding`, `PodExecOptions`), and that is what rules, policies and webhooks are
shown; the resource stays the one of the URL. `subresources`, `streams` and `proxying` ask before they act, as the real server does.
Contract: k8s.io/apiserver pkg/endpoints/handlers (create.go, rest.go ConnectResource); admission.k8s.io/v1 AdmissionRequest.
"""

from collections.abc import Callable
from typing import Literal

from lightship.apiserver import managed
from lightship.apiserver.core import Core
from lightship.apiserver.requests import Request
from lightship.apiserver.rounds import admit, mutate
from lightship.apiserver.served import Served
from lightship.meta import errors, times
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj, split_api_version
from lightship.meta.rest import WriteOptions


def identify(request: Request, obj: Obj, kind: str, api_version: str) -> None:
    """Say, in place, what the object in a body is, where the body leaves it out. Raises 400 for another namespace."""
    obj["kind"] = obj.get("kind") or kind
    obj["apiVersion"] = obj.get("apiVersion") or api_version
    meta = obj.setdefault("metadata", {})
    if meta is None:
        meta = obj["metadata"] = {}
    if not isinstance(meta, dict):
        raise errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): its metadata is no JSON object")
    if meta.setdefault("namespace", request.namespace) != request.namespace:
        raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the request")


def own(core: Core, request: Request, obj: Obj, options: WriteOptions) -> None:
    """Say, in place, who has set the fields of an object, as is said of those that are stored."""
    group, version = split_api_version(obj["apiVersion"])
    managed.created(managed.of_kind(group, version, obj["kind"]), request, obj, options, times.rfc3339(core.clock.now()))


async def ask(
    core: Core,
    served: Served,
    request: Request,
    obj: Obj,
    options: WriteOptions | None = None,
    *,
    operation: Literal["CREATE", "CONNECT"] = "CREATE",
    check: Callable[[], None] = lambda: None,
) -> None:
    """Let `obj` be changed, in place, validate it by `check`, and let it be judged. Raises what refuses it."""
    rules = served.rules.running(core.store, operation, request.subresource)
    if rules.always and operation == "CREATE" and "managedFields" not in obj["metadata"]:
        own(core, request, obj, options or WriteOptions())
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
    check()
    await admit(rules.validating, wish)
