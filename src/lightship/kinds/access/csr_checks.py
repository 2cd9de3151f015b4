"""What can be wrong with CertificateSigningRequests: what is asked for, the conditions of an approval, the certificate that was issued.

Called through `certificates`. What stands in a request and in a certificate is read by `csr_parsing`, which is loaded when the first one
comes: cryptography is far too much for those who never sign. Who may approve and sign is admission's matter.
Contract: kube 1.36 pkg/apis/certificates/validation.
"""

import importlib
from typing import NamedTuple

from lightship.kinds import checking
from lightship.meta import errors, names, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
DECIDED = ("Approved", "Denied")
_TRUE_ONLY = (*DECIDED, "Failed")
_STATUSES = ("False", "True", "Unknown")
_LEGACY = "kubernetes.io/legacy-unknown"
_MIN_SECONDS = 600
_PARSING = "lightship.kinds.access.csr_parsing"
_SIGNER_LIMIT = 2 * names.NAME_LIMIT + names.LABEL_LIMIT + 2


class _Allowed(NamedTuple):
    """What a write to one of the parts may do."""

    decide: bool = False
    certify: bool = False


def validate(request: Obj, old: Obj | None) -> list[Cause]:
    return _check(request, old, _Allowed())


def validate_status(request: Obj, old: Obj | None) -> list[Cause]:
    return _check(request, old, _Allowed(certify=True))


def validate_approval(request: Obj, old: Obj | None) -> list[Cause]:
    return _check(request, old, _Allowed(decide=True))


def _check(request: Obj, old: Obj | None, allowed: _Allowed) -> list[Cause]:
    causes = _check_spec(objects.spec(request), objects.spec(old or {}))
    found, before = objects.status(request), objects.status(old or {})
    causes += _check_conditions(found.get("conditions") or [], before.get("conditions") or [])
    certificate, had = found.get("certificate") or "", before.get("certificate") or ""
    if certificate and certificate != had and not (had and _certificate_problem(had)):
        wrong = _certificate_problem(certificate)
        if wrong:
            causes.append(errors.invalid_value("status.certificate", "<certificate data>", wrong))
    return causes + (_check_change(found, before, allowed) if old is not None else [])


def _request_problem(encoded: str) -> str:
    problem: str = importlib.import_module(_PARSING).request_problem(encoded)
    return problem


def _certificate_problem(encoded: str) -> str:
    problem: str = importlib.import_module(_PARSING).certificate_problem(encoded)
    return problem


def _check_spec(spec: Obj, before: Obj) -> list[Cause]:
    request, usages, signer, seconds = (spec.get(f) for f in ("request", "usages", "signerName", "expirationSeconds"))
    causes: list[Cause] = []
    wrong = _request_problem(request or "")
    if wrong:
        causes.append(errors.invalid_value("spec.request", request, wrong))
    causes += _check_usages(usages or [], before.get("usages") or [])
    if signer == _LEGACY and before.get("signerName") != _LEGACY:
        why = "the legacy signerName is not allowed via this API version"
        causes.append(errors.invalid_value("spec.signerName", signer, why))
    else:
        causes += check_signer("spec.signerName", signer or "")
    if seconds is not None and seconds < _MIN_SECONDS:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        causes.append(errors.invalid_value("spec.expirationSeconds", seconds, why))
    return causes


def _check_usages(usages: list[str], before: list[str]) -> list[Cause]:
    causes = [] if usages else [errors.required("spec.usages")]
    if set(before) <= set(USAGES):
        wrong = [(i, usage) for i, usage in enumerate(usages) if usage not in USAGES]
        causes += [errors.not_supported(f"spec.usages[{i}]", usage, USAGES) for i, usage in wrong]
    if len(set(before)) == len(before):
        causes += [errors.duplicate(f"spec.usages[{i}]", usage) for i, usage in enumerate(usages) if usage in usages[:i]]
    return causes


def check_signer(path: str, signer: str) -> list[Cause]:
    """The name of a signer: a domain with more than one label, and a path of one or two names."""
    if not signer:
        return [errors.required(path)]
    segments = signer.split("/")
    if len(segments) != 2:
        return [errors.invalid_value(path, signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'")]
    domain, route = segments
    causes = [errors.too_long(path, names.NAME_LIMIT)] if len(domain) > names.NAME_LIMIT else []
    causes += _check_labels(path, domain, "label")
    if "." not in domain:
        causes.append(errors.invalid_value(path, domain, "should be a domain with at least two segments separated by dots"))
    causes += _check_labels(path, route, "subdomain")
    return causes + ([errors.too_long(path, _SIGNER_LIMIT)] if len(signer) > _SIGNER_LIMIT else [])


def _check_labels(path: str, segment: str, rule: names.Rule) -> list[Cause]:
    """The first part between dots that is no name, and all that is wrong with it."""
    wrong = next((label for label in segment.split(".") if not names.follows(label, rule)), None)
    if wrong is None:
        return []
    return [errors.invalid_value(path, segment, f'validating label "{wrong}": {m}') for m in names.problems(wrong, rule)]


def _check_conditions(found: list[Obj], before: list[Obj]) -> list[Cause]:
    had = [condition.get("type") or "" for condition in before]
    both, twice, nameless = set(DECIDED) <= set(had), len(set(had)) < len(had), "" in had
    causes: list[Cause] = []
    seen: list[str] = []
    for i, condition in enumerate(found):
        path, kind, status = f"status.conditions[{i}]", condition.get("type") or "", condition.get("status") or ""
        if not kind and not nameless:
            causes.append(errors.required(f"{path}.type"))
        choices = ("True",) if kind in _TRUE_ONLY else _STATUSES
        causes += checking.one_of(f"{path}.status", status, choices) if status else [errors.required(f"{path}.status")]
        if kind in DECIDED and not both and any(other in seen for other in DECIDED if other != kind):
            why = "Approved and Denied conditions are mutually exclusive"
            causes.append(errors.invalid_value("status.conditions", kind, why))
        if kind in seen and not twice:
            causes.append(errors.duplicate(f"{path}.type", kind))
        seen.append(kind)
    return causes


def _check_change(found: Obj, before: Obj, allowed: _Allowed) -> list[Cause]:
    causes: list[Cause] = []
    changes = {kind: (_of(kind, found), _of(kind, before)) for kind in _TRUE_ONLY}
    for kind, (new, had) in changes.items():
        if len(new) < len(had):
            causes.append(errors.forbidden_field("status.conditions", f'updates may not remove a condition of type "{kind}"'))
    for kind in () if allowed.decide else DECIDED:
        new, had = changes[kind]
        if len(new) > len(had):
            causes.append(errors.forbidden_field("status.conditions", f'updates may not add a condition of type "{kind}"'))
        elif len(new) == len(had) and not same(new, had):
            causes.append(errors.forbidden_field("status.conditions", f'updates may not modify a condition of type "{kind}"'))
    certificate, had_certificate = found.get("certificate") or "", before.get("certificate") or ""
    if certificate != had_certificate:
        if not allowed.certify:
            causes.append(errors.forbidden_field("status.certificate", "updates may not set certificate content"))
        elif had_certificate:
            causes.append(errors.forbidden_field("status.certificate", "updates may not modify existing certificate content"))
    return causes


def _of(kind: str, status: Obj) -> list[Obj]:
    return [condition for condition in status.get("conditions") or () if condition.get("type") == kind]
