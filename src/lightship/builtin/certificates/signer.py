"""Signs approved CertificateSigningRequests of the kubernetes.io signers with the cluster's authority. Woken by the requests.

Contract: kube-controller-manager pkg/controller/certificates/signer; certificates.k8s.io/v1 conditions Approved and Failed.
"""

import base64
from collections.abc import Callable
from functools import cache

from lightship.builtin.certificates import requests
from lightship.builtin.certificates.authority import Authority
from lightship.control import Controller, Done, Manager, Outcome, Terminal, itself
from lightship.kinds import CERTIFICATE_SIGNING_REQUESTS
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj


def controller(manager: Manager, authority: Callable[[], Authority]) -> Controller:
    """`authority` is asked when the first request is to be signed."""
    return Controller("csrsigning", SigningReconciler(manager, authority), watches=[itself(CERTIFICATE_SIGNING_REQUESTS)])


class SigningReconciler:
    def __init__(self, manager: Manager, authority: Callable[[], Authority]) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._authority = cache(authority)
        self._requests = manager.cache.informer(CERTIFICATE_SIGNING_REQUESTS)

    async def reconcile(self, key: Key) -> Outcome:
        csr = self._requests.get(key)
        if csr is None or not requests.has(csr, requests.APPROVED) or requests.has(csr, requests.DENIED):
            return Done()
        spec, status = objects.spec(csr), objects.status(csr)
        refuses = requests.PROBLEMS.get(spec["signerName"])
        if refuses is None or status.get("certificate") or requests.has(csr, requests.FAILED):
            return Done()
        usages = spec.get("usages") or []
        try:
            asked = requests.read(csr)
            problem = refuses(asked, usages)
            if problem:
                await self._write(csr, {**status, "conditions": [*(status.get("conditions") or ()), self._failed(problem)]})
                return Done()
            signed = self._authority().sign(asked, usages, spec.get("expirationSeconds"), self._clock.now())
        except ValueError as error:
            raise Terminal("SigningFailed", f"{key.name} cannot be signed: {error}") from error
        await self._write(csr, {**status, "certificate": base64.b64encode(signed.encode()).decode()})
        return Done()

    def _failed(self, problem: str) -> Obj:
        now = times.rfc3339(self._clock.now())
        said = {"type": requests.FAILED, "status": "True", "reason": "SignerValidationFailure", "message": problem}
        return {**said, "lastUpdateTime": now}

    async def _write(self, csr: Obj, status: Obj) -> None:
        await self._client.update_status(CERTIFICATE_SIGNING_REQUESTS, {**csr, "status": status})
