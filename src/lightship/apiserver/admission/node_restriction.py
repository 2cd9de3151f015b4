"""NodeRestriction: a node changes itself, what runs on it, and nothing else.

Admission rule for users that are nodes; `token_requests` asks `check_token`, as tokens are no stored objects. The authorizer lets nodes
patch nodes and delete pods, because it does not know which; here it is known.
Contract: kube 1.36 plugin/pkg/admission/noderestriction.
"""

from collections.abc import Callable

from lightship.apiserver.access.nodes.authorizer import PREFIX, node_of
from lightship.apiserver.access.nodes.graph import MIRROR, references
from lightship.apiserver.catalogue import Catalogue
from lightship.meta import errors
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from lightship.store import Store

from .refusals import forbidden

_KUBELET_LABELS = frozenset(
    {
        *("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch"),
        *("topology.kubernetes.io/zone", "topology.kubernetes.io/region", "node.kubernetes.io/instance-type"),
        *("failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region", "beta.kubernetes.io/instance-type"),
    }
)
_KUBELET_SPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESERVED = "node-restriction.kubernetes.io"
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources")

Judge = Callable[[str, AdmissionRequest], None]


def admission(store: Store, catalogue: Catalogue) -> list[Admission]:
    """The rules, for the kinds of theirs that are served."""
    judges: dict[tuple[str, str], Judge] = {
        ("", "pods"): lambda node, request: _pod(store, node, request),
        ("", "nodes"): _node,
        ("", "persistentvolumeclaims"): _claim,
        ("coordination.k8s.io", "leases"): _lease,
        ("storage.k8s.io", "csinodes"): _csi_node,
        ("resource.k8s.io", "resourceslices"): _slice,
    }
    found = [resource for group, plural in judges if (resource := catalogue.find(group, "v1", plural))]

    async def judge(request: AdmissionRequest) -> None:
        if request.user.name.startswith(PREFIX) and (node := node_of(request.user)) is not None:
            if not node:
                raise forbidden(request, f'could not determine node from user "{request.user.name}"')
            judges[request.resource.group, request.resource.plural](node, request)

    return [Admission(name="NodeRestriction", resources=tuple(found), mutate=judge)] if found else []


def check_token(store: Store, user: User, namespace: str, account: str, spec: Obj) -> None:
    """May a node have this token? It must be for a pod that runs there, and for somebody that the pod wants to talk to. Raises 403."""
    node = node_of(user)
    if node is None:
        return
    ref = spec.get("boundObjectRef") or {}
    if ref.get("apiVersion") != "v1" or ref.get("kind") != "Pod" or not ref.get("name"):
        raise _no_token(account, "node requested token not bound to a pod")
    if not ref.get("uid"):
        raise _no_token(account, "node requested token with a pod binding without a uid")
    record = store.get(f"core/pods/{namespace}/{ref['name']}")
    if record is None:
        raise errors.not_found("pods", ref["name"])
    pod = record.obj
    if ref["uid"] != pod["metadata"]["uid"]:
        why = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. The object might have been deleted"
        raise _no_token(account, f"{why} and then recreated")
    if pod["spec"].get("nodeName") != node:
        raise _no_token(account, "node requested token bound to a pod scheduled on a different node")
    audiences = spec.get("audiences") or [""]
    if len(audiences) > 1:
        raise _no_token(account, "node may only request 0 or 1 audiences")
    if audiences[0] not in _audiences(pod):
        found = f'audience "{audiences[0]}" not found in pod spec volume'
        raise _no_token(account, f"{found}, {user.name} is not authorized to request tokens for this audience")


def _audiences(pod: Obj) -> set[str]:
    sources = [s for v in pod["spec"].get("volumes") or () for s in (v.get("projected") or {}).get("sources") or ()]
    return {source["serviceAccountToken"].get("audience") or "" for source in sources if source.get("serviceAccountToken")}


def _no_token(account: str, why: str) -> StatusError:
    return errors.forbidden(f'serviceaccounts "{account}" is forbidden: {why}', "serviceaccounts", account)


def _pod(store: Store, node: str, request: AdmissionRequest) -> None:
    if request.subresource == "status":
        _pod_status(node, request)
    elif request.subresource == "eviction":
        if _place(request.old) != node:
            raise forbidden(request, f"node {node} can only evict pods with spec.nodeName set to itself")
    elif request.subresource:
        why = f"unexpected pod subresource \"{request.subresource}\", only 'status' and 'eviction' are allowed"
        raise forbidden(request, why)
    elif request.operation == "DELETE":
        if _place(request.old) != node:
            raise forbidden(request, f'node "{node}" can only delete pods with spec.nodeName set to itself')
    elif request.operation == "CREATE":
        _new_pod(store, node, request)
    else:
        raise forbidden(request, f'unexpected operation "{request.operation}", node "{node}" can only create and delete mirror pods')


def _place(pod: Obj | None) -> str:
    return ((pod or {}).get("spec") or {}).get("nodeName") or ""


def _pod_status(node: str, request: AdmissionRequest) -> None:
    old, new = request.old or {}, request.obj or {}
    if _place(old) != node:
        raise forbidden(request, f'node "{node}" can only update pod status for pods with spec.nodeName set to itself')
    if (old["metadata"].get("labels") or {}) != (new["metadata"].get("labels") or {}):
        raise forbidden(request, f'node "{node}" cannot update labels through pod status')
    before, after = old.get("status") or {}, new.get("status") or {}
    if (before.get("resourceClaimStatuses") or []) != (after.get("resourceClaimStatuses") or []):
        raise forbidden(request, f'node "{node}" cannot update resource claim statues')
    if before.get("extendedResourceClaimStatus") != after.get("extendedResourceClaimStatus"):
        raise forbidden(request, f'node "{node}" cannot update extended resource claim status')


def _new_pod(store: Store, node: str, request: AdmissionRequest) -> None:
    """Mirrors of what runs on the node anyway: its own, and needing nothing of the cluster."""
    pod = request.obj or {}
    meta = pod["metadata"]
    if MIRROR not in (meta.get("annotations") or {}):
        raise forbidden(request, f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods')
    if _place(pod) != node:
        raise forbidden(request, f'node "{node}" can only create pods with spec.nodeName set to itself')
    owners = meta.get("ownerReferences") or []
    if len(owners) > 1:
        raise forbidden(request, f'node "{node}" can only create pods with a single owner reference set to itself')
    if not owners or (owners[0].get("apiVersion"), owners[0].get("kind"), owners[0].get("name")) != ("v1", "Node", node):
        raise forbidden(request, f'node "{node}" can only create pods with an owner reference set to itself')
    if not owners[0].get("controller"):
        raise forbidden(request, f'node "{node}" can only create pods with a controller owner reference set to itself')
    if owners[0].get("blockOwnerDeletion"):
        raise forbidden(request, f'node "{node}" must not set blockOwnerDeletion on an owner reference')
    record = store.get(f"core/nodes//{node}")
    if record is None:
        raise errors.not_found("nodes", node)
    uid = record.obj["metadata"]["uid"]
    if owners[0].get("uid") != uid:
        raise forbidden(request, f"node {node} UID mismatch: expected {owners[0].get('uid') or ''} got {uid}")
    needed = next(references({**pod, "metadata": {**meta, "annotations": {}}}), None)
    if needed:
        raise forbidden(request, f'node "{node}" can not create pods that reference {needed[0]}')


def _node(node: str, request: AdmissionRequest) -> None:
    if request.name != node:
        raise forbidden(request, f'node "{node}" is not allowed to modify node "{request.name}"')
    if request.operation == "DELETE":
        return
    new, old = request.obj or {}, request.old or {}
    labels = _forbidden_labels(new, old)
    if request.operation == "CREATE":
        if labels:
            raise forbidden(request, f'node "{node}" is not allowed to set the following labels: {", ".join(labels)}')
        return
    if ((new.get("spec") or {}).get("taints") or []) != ((old.get("spec") or {}).get("taints") or []):
        raise forbidden(request, f'node "{node}" is not allowed to modify taints')
    if (new["metadata"].get("ownerReferences") or []) != (old["metadata"].get("ownerReferences") or []):
        raise forbidden(request, f'node "{node}" is not allowed to modify ownerReferences')
    if labels:
        raise forbidden(request, f"is not allowed to modify labels: {', '.join(labels)}")


def _forbidden_labels(new: Obj, old: Obj) -> list[str]:
    after, before = new["metadata"].get("labels") or {}, (old.get("metadata") or {}).get("labels") or {}
    return sorted(key for key in after.keys() | before.keys() if after.get(key) != before.get(key) and not _may_set(key))


def _may_set(label: str) -> bool:
    """Labels by which workloads are steered are not the node's to choose."""
    space, slash, _ = label.partition("/")
    if not slash:
        return True
    if f".{space}".endswith(f".{_RESERVED}"):
        return False
    if not f".{space}".endswith((".kubernetes.io", ".k8s.io")):
        return True
    return label in _KUBELET_LABELS or any(f".{space}".endswith(f".{known}") for known in _KUBELET_SPACES)


def _claim(node: str, request: AdmissionRequest) -> None:
    if request.subresource != "status":
        raise forbidden(request, "may only update PVC status")
    if _rest(request.old or {}) != _rest(request.obj or {}):
        raise forbidden(request, f'node "{node}" is not allowed to update fields other than status.quantity and status.conditions')


def _rest(claim: Obj) -> Obj:
    """A claim without what a node may change."""
    meta = {k: v for k, v in claim["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**claim, "metadata": meta, "status": {k: v for k, v in (claim.get("status") or {}).items() if k not in _CLAIM_STATUS}}


def _lease(node: str, request: AdmissionRequest) -> None:
    if request.namespace != "kube-node-lease":
        raise forbidden(request, 'can only access leases in the "kube-node-lease" system namespace')
    if request.name != node:
        raise forbidden(request, "can only access node lease with the same name as the requesting node")


def _csi_node(node: str, request: AdmissionRequest) -> None:
    if request.name != node:
        raise forbidden(request, "can only access CSINode with the same name as the requesting node")


def _slice(node: str, request: AdmissionRequest) -> None:
    said = {"CREATE": "create", "DELETE": "delete"}.get(request.operation)
    found = request.obj if request.operation == "CREATE" else request.old
    if said and _place(found) != node:
        raise forbidden(request, f"can only {said} ResourceSlice with the same NodeName as the requesting node")
