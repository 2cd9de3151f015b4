"""Who may approve and sign certificates, and that nobody asks for a master's.

CertificateApproval and CertificateSigning want the verbs `approve` and `sign` on the signer that a request names, all of its domain
(`<domain>/*`) or that one; CertificateSubjectRestriction looks into the request.
Contract: kube 1.36 plugin/pkg/admission/certificates; certificates.k8s.io/v1 signers.
"""

import base64
import binascii

from cryptography import x509
from cryptography.x509.oid import NameOID

from lightship.apiserver.access.authn import MASTERS
from lightship.apiserver.access.authz import Attributes, Authorizer
from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.rest import User

from .refusals import forbidden

GROUP = "certificates.k8s.io"
_CLIENT = "kubernetes.io/kube-apiserver-client"


def admission(core: Core) -> list[Admission]:
    """The rules, for servers that serve the kind."""
    requests = core.catalogue.find(GROUP, "v1", "certificatesigningrequests")
    if requests is None:
        return []

    async def judge(request: AdmissionRequest) -> None:
        old, new = request.old, request.obj
        if request.operation == "CREATE" and not request.subresource and new is not None:
            _check_subject(request, new)
        if request.operation != "UPDATE" or old is None or new is None:
            return
        signer = old["spec"].get("signerName") or ""
        if request.subresource == "approval" and not may(core.authorizer, request.user, "approve", signer):
            raise forbidden(request, f'user not permitted to approve requests with signerName "{signer}"')
        if request.subresource == "status" and _decides(old, new) and not may(core.authorizer, request.user, "sign", signer):
            raise forbidden(request, f'user not permitted to sign requests with signerName "{signer}"')

    return [Admission(name="Certificates", resources=(requests,), validate=judge)]


def may(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """May `user` do this for a signer, or for all of its domain?"""
    wish = Attributes(user, verb, GROUP, "signers", name=signer)
    return authorizer.allows(wish) or authorizer.allows(wish._replace(name=f"{signer.partition('/')[0]}/*"))


def _decides(old: Obj, new: Obj) -> bool:
    before, after = old.get("status") or {}, new.get("status") or {}
    return any((before.get(field) or None) != (after.get(field) or None) for field in ("certificate", "conditions"))


def _check_subject(request: AdmissionRequest, csr: Obj) -> None:
    if csr["spec"].get("signerName") != _CLIENT:
        return
    try:
        asked = x509.load_pem_x509_csr(base64.b64decode(csr["spec"].get("request") or ""))
        organizations = [attribute.value for attribute in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    except (ValueError, binascii.Error):
        raise forbidden(request, "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST") from None
    if MASTERS in organizations:
        raise forbidden(request, f"use of {_CLIENT} signer with {MASTERS} group is not allowed")
