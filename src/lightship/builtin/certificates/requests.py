"""What a CertificateSigningRequest asks for, and whether a signer of kubernetes.io gives such things. Pure.

Called by `approver` and `signer`. Contract: certificates.k8s.io/v1 well-known signers; kube 1.36 pkg/apis/certificates/helpers.go,
pkg/controller/certificates/signer.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from lightship.meta import objects
from lightship.meta.objects import Obj

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
_BEGIN, _END = b"-----BEGIN CERTIFICATE REQUEST-----", b"-----END CERTIFICATE REQUEST-----"
_SIGNS, _ENCIPHERS = "digital signature", "key encipherment"


class Asked(NamedTuple):
    """A request as it can be judged."""

    request: x509.CertificateSigningRequest
    common_name: str
    organizations: list[str]
    dns: list[str]
    ips: list[str]
    emails: list[str]
    uris: list[str]


def read(csr: Obj) -> Asked:
    """The X.509 request in an object. Raises `ValueError` when there is none."""
    try:
        pem = base64.b64decode(objects.spec(csr).get("request") or "")
    except binascii.Error as error:
        raise ValueError("the request is not base64") from error
    if not (begin := pem.find(_BEGIN)) >= 0 or _END not in pem[begin:]:
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    request = x509.load_pem_x509_csr(pem[begin:])
    names = _alternatives(request)
    common = [str(a.value) for a in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return Asked(
        request,
        common[-1] if common else "",
        [str(a.value) for a in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)],
        [n.value for n in names if isinstance(n, x509.DNSName)],
        [str(n.value) for n in names if isinstance(n, x509.IPAddress)],
        [n.value for n in names if isinstance(n, x509.RFC822Name)],
        [n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)],
    )


def _alternatives(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def has(csr: Obj, condition: str) -> bool:
    return any(c.get("type") == condition for c in objects.status(csr).get("conditions") or ())


def kubelet_serving_problem(asked: Asked, usages: Iterable[str]) -> str:
    """Why this is no request for a kubelet's serving certificate; empty when it is one."""
    if asked.organizations != ["system:nodes"]:
        return "subject organization is not system:nodes"
    if not (asked.dns or asked.ips):
        return "DNS or IP subjectAltName is required"
    if asked.emails:
        return "Email subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    return _usage_problem(usages, "server auth") or _name_problem(asked)


def kubelet_client_problem(asked: Asked, usages: Iterable[str]) -> str:
    """Why this is no request for a kubelet's client certificate; empty when it is one."""
    if asked.organizations != ["system:nodes"]:
        return "subject organization is not system:nodes"
    for found, what in ((asked.dns, "DNS"), (asked.emails, "Email"), (asked.ips, "IP"), (asked.uris, "URI")):
        if found:
            return f"{what} subjectAltNames are not allowed"
    return _name_problem(asked) or _usage_problem(usages, "client auth")


def client_problem(asked: Asked, usages: Iterable[str]) -> str:
    """Why this is no request for a client certificate; empty when it is one."""
    listed = list(usages)
    for usage in listed:
        if usage not in (_SIGNS, _ENCIPHERS, "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in listed else "missing required usage for client certificate: client auth"


def _usage_problem(usages: Iterable[str], auth: str) -> str:
    required = {_SIGNS, auth, _ENCIPHERS}
    if set(usages) in (required, required - {_ENCIPHERS}):  # keys of elliptic curves encipher nothing
        return ""
    return f"usages did not match [{' '.join(sorted(required))}]"


def _name_problem(asked: Asked) -> str:
    return "" if asked.common_name.startswith("system:node:") else "subject common name does not begin with system:node:"


PROBLEMS: dict[str, Callable[[Asked, Iterable[str]], str]] = {
    CLIENT: client_problem,
    KUBELET_CLIENT: kubelet_client_problem,
    KUBELET_SERVING: kubelet_serving_problem,
    LEGACY: lambda asked, usages: "",
}
"""The signers that we are, each with what it refuses."""
