"""How a definition says that its versions are converted, and where a webhook may listen.

Called by `rules` for `spec.conversion`; the rules of a webhook's address are those of every webhook.
Contract: apiextensions-apiserver pkg/apis/apiextensions/validation; k8s.io/apiserver pkg/util/webhook.
"""

import base64
import binascii
import re
from urllib.parse import urlsplit

from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

STRATEGIES = ("None", "Webhook")
REVIEW_VERSIONS = ("v1", "v1beta1")
"""Versions of ConversionReview that this server speaks."""
_FORM = "; desired format: https://host[/path]"
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


def problems(conversion: Obj | None, before: Obj | None) -> list[Cause]:
    """Everything wrong with `spec.conversion`; `before` is what an update replaces."""
    if conversion is None:
        return []
    path = "spec.conversion"
    strategy = conversion.get("strategy") or ""
    webhook = conversion.get("webhook") or {}
    config, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if strategy == "Webhook":
        return _client(config, f"{path}.webhookClientConfig") + _versions(versions, before, f"{path}.conversionReviewVersions")
    causes: list[Cause] = []
    if strategy not in STRATEGIES:
        at = f"{path}.strategy"
        causes.append(errors.not_supported(at, strategy, STRATEGIES) if strategy else errors.required(at))
    for field, value in (("webhookClientConfig", config), ("conversionReviewVersions", versions)):
        if value:
            causes.append(errors.forbidden_field(f"{path}.{field}", "should not be set when strategy is not set to Webhook"))
    return causes


def _client(config: Obj | None, path: str) -> list[Cause]:
    if config is None:
        return [errors.required(path, "required when strategy is set to Webhook")]
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [errors.required(path, "exactly one of url or service is required")]
    return check_url(f"{path}.url", url) if url is not None else check_service(f"{path}.service", service or {})


def check_url(path: str, url: str) -> list[Cause]:
    """May a webhook be called at this URL?"""
    try:
        if url.startswith(":"):
            raise ValueError("missing protocol scheme")
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for what is no number
    except ValueError as error:
        return [errors.required(path, f'url must be a valid URL: parse "{url}": {error}{_FORM}')]
    causes: list[Cause] = []
    if parts.scheme != "https":
        causes.append(errors.invalid_value(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not parts.netloc:
        causes.append(errors.invalid_value(path, "", f"host must be specified{_FORM}"))
    if "@" in parts.netloc:
        user = parts.netloc.rpartition("@")[0]
        causes.append(errors.invalid_value(path, user, "user information is not permitted in the URL"))
    if parts.fragment:
        causes.append(errors.invalid_value(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        causes.append(errors.invalid_value(path, parts.query, "query parameters are not permitted in the URL"))
    return causes


def check_service(path: str, service: Obj) -> list[Cause]:
    """May a webhook be called as this Service?"""
    causes = [errors.required(f"{path}.{field}") for field in ("name", "namespace") if not service.get(field)]
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        causes.append(errors.invalid_value(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive"))
    return causes + _path(f"{path}.path", service.get("path") or "")


def _path(path: str, text: str) -> list[Cause]:
    if text in ("", "/"):
        return []
    if text == "//":
        return [errors.invalid_value(path, text, "segment[0] may not be empty")]
    causes = [] if text.startswith("/") else [errors.invalid_value(path, text, "must start with a '/'")]
    for i, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            causes.append(errors.invalid_value(path, text, f"segment[{i}] may not be empty"))
        else:
            causes += [errors.invalid_value(path, text, f"segment[{i}]: {why}") for why in names.problems(step, "subdomain")]
    return causes


def _versions(versions: list[str], before: Obj | None, path: str) -> list[Cause]:
    if not versions:
        return [errors.required(path)]
    causes: list[Cause] = []
    for i, version in enumerate(versions):
        if version in versions[:i]:
            causes.append(errors.invalid_value(f"{path}[{i}]", version, "duplicate version"))
        else:
            causes += [errors.invalid_value(f"{path}[{i}]", version, why) for why in names.problems(version, "label1035")]
    former = ((before or {}).get("webhook") or {}).get("conversionReviewVersions") or []
    recognized = not former or any(v in REVIEW_VERSIONS for v in former)
    if recognized and not any(v in REVIEW_VERSIONS for v in versions):
        causes.append(errors.invalid_value(path, versions, f"must include at least one of {', '.join(REVIEW_VERSIONS)}"))
    return causes


def bundle_problem(bundle: str) -> str:
    """Why no certificate authority can be read from a `caBundle` (base64 of PEM); empty when one can, or when there is nothing."""
    if not bundle:
        return ""
    try:
        text = base64.b64decode(bundle)
    except (binascii.Error, ValueError):
        return "unable to load root certificates: unable to parse bytes as PEM block"
    blocks = _PEM.findall(text)
    if not blocks:
        return "unable to load root certificates: unable to parse bytes as PEM block"
    for kind, body in blocks:
        if kind == b"CERTIFICATE" and _is_certificate(body):
            return ""
    return "unable to load root certificates: no valid certificate authority data seen"


def _is_certificate(body: bytes) -> bool:
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(der) > 100 and der[0] == 0x30
