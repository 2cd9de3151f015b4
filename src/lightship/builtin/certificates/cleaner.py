"""Deletes CertificateSigningRequests that nobody needs any more. Woken by the requests, and by the clock when the time of one is up.

Contract: kube-controller-manager pkg/controller/certificates/cleaner: an hour for what was issued, denied or failed, a day for the rest.
"""

import base64
import binascii

from cryptography import x509

from lightship.builtin import children
from lightship.builtin.certificates import requests
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.kinds import CERTIFICATE_SIGNING_REQUESTS
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj

DECIDED_SECONDS = 3600.0
PENDING_SECONDS = 24 * 3600.0


def controller(manager: Manager) -> Controller:
    return Controller("csrcleaner", CleaningReconciler(manager), watches=[itself(CERTIFICATE_SIGNING_REQUESTS)])


def end(csr: Obj) -> float:
    """When the request may be deleted, in seconds since the epoch."""
    certificate = objects.status(csr).get("certificate")
    ends = []
    for condition in objects.status(csr).get("conditions") or ():
        changed = condition.get("lastUpdateTime")
        if changed:
            kept = PENDING_SECONDS if condition.get("type") == requests.APPROVED and not certificate else DECIDED_SECONDS
            ends.append(times.parse(changed) + kept)
    if certificate and requests.has(csr, requests.APPROVED):
        ends += _expiry(certificate)
    return min(ends, default=times.parse(csr["metadata"]["creationTimestamp"]) + PENDING_SECONDS)


def _expiry(certificate: str) -> list[float]:
    try:
        return [x509.load_pem_x509_certificate(base64.b64decode(certificate)).not_valid_after_utc.timestamp()]
    except (ValueError, binascii.Error):
        return []


class CleaningReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._requests = manager.cache.informer(CERTIFICATE_SIGNING_REQUESTS)

    async def reconcile(self, key: Key) -> Outcome:
        csr = self._requests.get(key)
        if csr is None or objects.is_deleting(csr):
            return Done()
        left = end(csr) - self._clock.now()
        if left > 0:
            return RequeueAfter(left)
        await children.remove(self._client, CERTIFICATE_SIGNING_REQUESTS, csr)
        return Done()
