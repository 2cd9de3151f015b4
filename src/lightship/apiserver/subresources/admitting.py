"""Admission of requests that write no object of their own: a Binding, an Eviction, a TokenRequest, a conversation with a pod.

What such a request says is an object of another kind (`Binding`, `PodExecOptions`), and that is what rules, policies and webhooks are
shown; the resource stays the one of the URL. `subresources`, `streams` and `proxying` ask before they act, as the real server does.
Contract: k8s.io/apiserver pkg/endpoints/handlers (create.go, rest.go ConnectResource); admission.k8s.io/v1 AdmissionRequest.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from lightship import kinds
from lightship.apiserver.core import Core
from lightship.apiserver.requests import Request
from lightship.apiserver.served import CannotDecode, Served
from lightship.apiserver.verbs import managed
from lightship.apiserver.verbs.rounds import admit, mutate
from lightship.meta import errors, schema, times
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj, split_api_version
from lightship.meta.rest import WriteOptions


def identify(request: Request, obj: Obj, kind: str, api_version: str) -> None:
    """Say, in place, what the object in a body is, where the body leaves it out. Raises 400 for what is no such object, or of another
    namespace."""
    given, version = obj.get("kind") or kind, obj.get("apiVersion") or api_version
    group = split_api_version(api_version)[0]
    if given != kind or not isinstance(version, str) or split_api_version(version)[0] != group:
        why = f'no kind "{given}" is registered for version "{version}"'
        raise CannotDecode(f'{given} in version "{version}" cannot be handled as a {kind}: {why}', why)
    obj["kind"], obj["apiVersion"] = kind, api_version
    if obj.get("metadata") is None:
        obj["metadata"] = {}
    wrong = _schema(group, split_api_version(api_version)[1], kind).check(obj)
    if wrong and wrong[0].reason == errors.TYPE_INVALID:
        raise errors.bad_request(f'{kind} in version "{api_version}" cannot be handled as a {kind}: {wrong[0].text()}')
    meta = obj["metadata"]
    if meta.setdefault("namespace", request.namespace) != request.namespace:
        raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the request")


@lru_cache(maxsize=8)
def _schema(group: str, version: str, kind: str) -> schema.Compiled:
    return schema.compile({"$ref": managed.reference(group, version, kind)}, kinds.definitions())


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
