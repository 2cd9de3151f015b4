"""A role of Amazon's, assumed for an hour at a time: ROLE_ARN of an S3 initializer.

With the pod's web identity (AWS_WEB_IDENTITY_TOKEN_FILE, which EKS mounts) or signed with the keys that the initializer has. `stores` gives
`Role.credentials` to obstore, which asks again before they run out. Contract: AWS STS 2011-06-15, Signature Version 4.
"""

import hashlib
import hmac
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from lightship.train.runtime.initializers.asking import Asker, check
from lightship.train.runtime.initializers.problems import MisuseError, RefusedError
from lightship.train.runtime.initializers.settings import Settings

_VERSION = "2011-06-15"
_SESSION = "lightship-initializer"


class Role:
    def __init__(self, arn: str, region: str, settings: Settings) -> None:
        self._arn = arn
        self._region = "us-east-1" if region == "auto" else region
        self._settings = settings
        self._endpoint = settings.given("STS_ENDPOINT", "AWS_ENDPOINT_URL_STS") or f"https://sts.{self._region}.amazonaws.com"

    def credentials(self) -> dict[str, Any]:
        """What obstore wants of a provider. Raises `InitializerError`."""
        asker = Asker()
        try:
            url, headers = self._request(datetime.now(UTC))
            answer = asker.ask("GET", url, headers)
            check(answer, f"role {self._arn}")
            return _parse(answer.body.read(), self._arn)
        finally:
            asker.close()

    def _request(self, now: datetime) -> tuple[str, dict[str, str]]:
        common = {"Version": _VERSION, "RoleArn": self._arn, "RoleSessionName": _SESSION}
        token = self._settings.given("AWS_WEB_IDENTITY_TOKEN_FILE")
        key, secret = (
            self._settings.given("ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
            self._settings.given("SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        )
        if token and not key:
            fields = {"Action": "AssumeRoleWithWebIdentity", **common, "WebIdentityToken": Path(token).read_text().strip()}
            return f"{self._endpoint}/?{urlencode(fields)}", {}
        if not key:
            raise MisuseError(f"role {self._arn}: to assume it takes ACCESS_KEY_ID and SECRET_ACCESS_KEY, or a web identity of the pod")
        query = urlencode(sorted({"Action": "AssumeRole", **common}.items()))
        headers = {"x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")}
        if session := self._settings.given("SESSION_TOKEN", "AWS_SESSION_TOKEN"):
            headers["x-amz-security-token"] = session
        return f"{self._endpoint}/?{query}", {**headers, "Authorization": self._signature(query, headers, key, secret)}

    def _signature(self, query: str, headers: Mapping[str, str], key: str, secret: str) -> str:
        signed = {"host": urlsplit(self._endpoint).netloc, **headers}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = "\n".join(["GET", "/", query, lines, names, hashlib.sha256(b"").hexdigest()])
        time = headers["x-amz-date"]
        scope = f"{time[:8]}/{self._region}/sts/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
        mac = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            mac = hmac.digest(mac, part.encode(), "sha256")
        signature = hmac.new(mac, text.encode(), "sha256").hexdigest()
        return f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"


def _parse(body: bytes, arn: str) -> dict[str, Any]:
    try:
        found = {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(body).iter()}
        return {
            "access_key_id": found["AccessKeyId"],
            "secret_access_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expires_at": datetime.fromisoformat(found["Expiration"]),
        }
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise RefusedError(f"role {arn}: the answer of the token service makes no sense") from error
