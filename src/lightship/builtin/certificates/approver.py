"""Approves requests of nodes for their client certificates, when those who ask may have them. Woken by the requests.

Whether they may is a question to the API server: leave to `create` the subresource `nodeclient`, or `selfnodeclient` for a certificate of
the same name. Contract: kube-controller-manager pkg/controller/certificates/approver.
"""

from lightship.builtin.certificates import requests
from lightship.control import Controller, Done, Manager, Outcome, itself
from lightship.kinds import CERTIFICATE_SIGNING_REQUESTS
from lightship.kinds.access.reviews import SUBJECT_ACCESS_REVIEWS
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

_SELF = ("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
_ANY = ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def controller(manager: Manager) -> Controller:
    return Controller("csrapproving", ApprovingReconciler(manager), watches=[itself(CERTIFICATE_SIGNING_REQUESTS)])


def ways(csr: Obj) -> list[tuple[str, str]]:
    """The subresources by which this request may be approved, each with what is then said of it. Pure."""
    spec = objects.spec(csr)
    if spec["signerName"] != requests.KUBELET_CLIENT:
        return []
    try:
        asked = requests.read(csr)
    except ValueError:
        return []
    if requests.kubelet_client_problem(asked, spec.get("usages") or ()):
        return []
    return [_SELF, _ANY] if spec.get("username") == asked.common_name else [_ANY]


class ApprovingReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._requests = manager.cache.informer(CERTIFICATE_SIGNING_REQUESTS)

    async def reconcile(self, key: Key) -> Outcome:
        csr = self._requests.get(key)
        if csr is None or objects.status(csr).get("certificate"):
            return Done()
        if requests.has(csr, requests.APPROVED) or requests.has(csr, requests.DENIED):
            return Done()
        for subresource, message in ways(csr):
            if await self._allowed(csr, subresource):
                await self._approve(csr, message)
                break
        return Done()

    async def _allowed(self, csr: Obj, subresource: str) -> bool:
        spec = objects.spec(csr)
        who = {"user": spec.get("username"), **{field: spec[field] for field in ("uid", "groups", "extra") if spec.get(field)}}
        what = {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create", "subresource": subresource}
        answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, {"spec": {**who, "resourceAttributes": what}})
        return bool(objects.status(answer).get("allowed"))

    async def _approve(self, csr: Obj, message: str) -> None:
        approved = {"type": requests.APPROVED, "status": "True", "reason": "AutoApproved", "message": message}
        status = objects.status(csr)
        new = {**csr, "status": {**status, "conditions": [*(status.get("conditions") or ()), approved]}}
        transport = self._client.transport
        await transport.update(CERTIFICATE_SIGNING_REQUESTS, "", objects.name(csr), new, subresource="approval")
