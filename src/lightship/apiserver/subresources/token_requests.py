"""TokenRequests: what a token may be asked for, and what it is bound to.

`subresources` calls `grant` for a POST to a ServiceAccount's `token`; the signing is `Core.tokens`'.
Contract: authentication.k8s.io/v1 TokenRequest; kube 1.36 registry/core/serviceaccount/storage/token.go.
"""

from lightship.apiserver.admission.node_restriction import check_token
from lightship.apiserver.core import Core
from lightship.apiserver.requests import Answer, Request, TokenSubject
from lightship.apiserver.served import CannotDecode, Served
from lightship.meta import errors, times
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions

from . import admitting

GROUP = "authentication.k8s.io"
API_VERSION = f"{GROUP}/v1"
SECONDS = 3600
MIN_SECONDS = 600
MAX_SECONDS = 2**32
PROJECTED_SECONDS = 3607
"""What admission writes into the token volumes of pods."""
EXTENDED_SECONDS = 365 * 86400
"""How long such tokens really live, so that old clients that never read their token again go on; they die with their pod anyway."""
_PLURALS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def grant(core: Core, served: Served, request: Request, body: Obj, options: WriteOptions) -> Answer:
    """201 with a signed token for a ServiceAccount. Raises 400, 404, 409 and 422 as the real server does."""
    issuer = core.tokens
    if issuer is None:
        raise errors.unavailable("this server issues no tokens: it was started without a signing key")
    _check_kind(body)
    spec = body["spec"] = body.get("spec") or {}
    if not isinstance(spec, dict):
        raise errors.bad_request("TokenRequest cannot be read: spec must be an object")
    body.pop("status", None)
    admitting.identify(request, body, "TokenRequest", API_VERSION)
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = SECONDS
    admitting.own(core, request, body, options)
    body["status"] = {"token": "", "expirationTimestamp": None}
    body["spec"] = spec = {"audiences": None, "boundObjectRef": None, **spec}
    check_token(core.store, request.user, request.namespace, request.name, spec)
    now = int(core.clock.now())
    await admitting.ask(core, served, request, body, options, check=lambda: _complete(core, served, request, body, issuer.issuer, now))
    meta, spec = body["metadata"], body["spec"]
    uid, audiences, seconds = meta["uid"], spec["audiences"], spec["expirationSeconds"]
    subject = _subject(core, request, uid, spec.get("boundObjectRef"))
    extended = subject.bound_kind == "Pod" and seconds == PROJECTED_SECONDS and audiences == [issuer.issuer]
    if extended:
        token, _ = issuer.issue(subject, audiences, EXTENDED_SECONDS, warn_after=seconds)
    else:
        token, _ = issuer.issue(subject, audiences, seconds)
    answer = {
        "kind": "TokenRequest",
        "apiVersion": API_VERSION,
        "metadata": meta,
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec.get("boundObjectRef")},
        "status": {"token": token, "expirationTimestamp": times.rfc3339(now + seconds)},
    }
    return Answer(201, obj=answer)


def _complete(core: Core, served: Served, request: Request, body: Obj, issuer: str, now: int) -> None:
    """Fill, in place, what the question leaves out. Raises 400, 404, 409 and 422."""
    meta = body["metadata"]
    for field, value in (("name", request.name), ("namespace", request.namespace)):
        if meta.get(field) and meta[field] != value:
            cause = errors.invalid_value(f"metadata.{field}", meta[field], f"must match the service account {field} if specified")
            raise errors.invalid("TokenRequest", request.name, [cause], GROUP)
    record = core.store.get(served.key(request.namespace, request.name))
    if record is None:
        raise served.not_found(request.name)
    uid = record.obj["metadata"]["uid"]
    if meta.get("uid") and meta["uid"] != uid:
        why = f"the UID in the token request ({meta['uid']}) does not match the UID of the service account ({uid})"
        raise errors.conflict("TokenRequest", request.name, why, GROUP)
    spec = body["spec"]
    audiences, seconds = _asked(spec, issuer)
    here = {"name": request.name, "namespace": request.namespace, "uid": uid, "creationTimestamp": times.rfc3339(now)}
    body["metadata"] = {**meta, **here}
    body["spec"] = {**spec, "audiences": audiences, "expirationSeconds": seconds}


def _check_kind(body: Obj) -> None:
    kind, version = body.get("kind") or "TokenRequest", body.get("apiVersion") or API_VERSION
    if (kind, version) != ("TokenRequest", API_VERSION):
        why = f'no kind "{kind}" is registered for version "{version}"'
        raise CannotDecode(f'{kind} in version "{version}" cannot be handled as a TokenRequest: {why}', why)


def _asked(spec: Obj, issuer: str) -> tuple[list[str], int]:
    """Audiences and seconds. Raises 400 and 422."""
    audiences, seconds = spec.get("audiences") or [issuer], spec.get("expirationSeconds")
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise errors.bad_request("TokenRequest cannot be read: spec.audiences must be a list of strings")
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise errors.bad_request("TokenRequest cannot be read: spec.expirationSeconds must be an integer")
    if seconds < MIN_SECONDS:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_SECONDS:
        why = "may not specify a duration larger than 2^32 seconds"
    else:
        return audiences, seconds
    raise errors.invalid("TokenRequest", "", [errors.invalid_value("spec.expirationSeconds", seconds, why)], GROUP)


def _subject(core: Core, request: Request, uid: str, bound: Obj | None) -> TokenSubject:
    if bound is None:
        return TokenSubject(request.namespace, request.name, uid)
    if not isinstance(bound, dict):
        raise errors.bad_request("TokenRequest cannot be read: spec.boundObjectRef must be an object")
    kind, name = bound.get("kind") or "", bound.get("name") or ""
    group, slash, version = (bound.get("apiVersion") or "").partition("/")
    if kind not in _PLURALS or slash:
        shown = f"{group}/{version}" if slash else f"/{group}"
        raise errors.bad_request(f"cannot bind token to object of type {shown}, Kind={kind}")
    found = _found(core, kind, "" if kind == "Node" else request.namespace, name)
    node = _node_of(core, request.name, found) if kind == "Pod" else ("", "")
    found_uid, wanted = found["metadata"]["uid"], bound.get("uid")
    if wanted and wanted != found_uid:
        why = f"the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted"
        raise errors.conflict(kind, name, f"{why} and then recreated")
    return TokenSubject(request.namespace, request.name, uid, kind, name, found_uid, *node)


def _found(core: Core, kind: str, namespace: str, name: str) -> Obj:
    record = core.store.get(f"core/{_PLURALS[kind]}/{namespace}/{name}")
    if record is None:
        raise errors.not_found(_PLURALS[kind], name)
    return record.obj


def _node_of(core: Core, account: str, pod: Obj) -> tuple[str, str]:
    """Name and uid of the node that a pod of `account` is on; nothing when it is on none."""
    if (pod["spec"].get("serviceAccountName") or "") != account:
        raise errors.bad_request(f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.')
    node: str = pod["spec"].get("nodeName") or ""
    record = core.store.get(f"core/nodes//{node}") if node else None
    return node, record.obj["metadata"]["uid"] if record else ""
