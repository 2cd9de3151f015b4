"""Who asks: from an HTTP request to a `User`, by client certificate, bearer token, or as nobody in particular.

`front` asks for every request, and again when a request wants to be somebody else's. Credentials that are wrong are refused with 401, none
at all make an anonymous user, whose rights are the authorizer's business. Order as in kube-apiserver: front proxy, certificate, token.
Contract: kube-apiserver authentication; websocket sub-protocol base64url.bearer.authorization.k8s.io.
"""

import base64
import binascii

from lightship.apiserver.transport.exchange import HttpRequest
from lightship.meta import errors
from lightship.meta.rest import User

from . import impersonation
from .authn import ANONYMOUS, Authenticator, bearer_token
from .authz import Attributes, Authorizer
from .client_certificates import ClientCertificates

_PROTOCOL = "base64url.bearer.authorization.k8s.io."
_PROTOCOLS = b"sec-websocket-protocol"


class Identity:
    """`certificates` None: clients prove who they are by tokens only."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer, certificates: ClientCertificates | None = None) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._certificates = certificates

    def of(self, request: HttpRequest) -> User:
        """Raises 401 for credentials that are offered and not good."""
        failed = False
        if request.certificate and self._certificates is not None:
            user, failed = self._certificates.user(request.certificate, request.headers)
            if user is not None:
                return user
        token = bearer_token(request.header(b"authorization"))
        if not token and _PROTOCOLS in request.headers:
            token = _websocket_token(request)
        if token:
            user = self._authenticator.authenticate(token)
            if user is not None:
                return user
            failed = True
        if failed:
            raise errors.unauthorized()
        return ANONYMOUS

    def acting(self, request: HttpRequest, wish: Attributes) -> User:
        """As whom `wish.user` wants to do what he wishes: himself, mostly. Raises 403 when he may not, 400 for headers without sense."""
        for name in request.headers:
            if name.startswith(b"impersonate-"):
                user = impersonation.wanted(request.headers)
                return wish.user if user is None else impersonation.become(self._authorizer, wish, user)
        return wish.user


def _websocket_token(request: HttpRequest) -> str:
    """The token of a browser, which can send no Authorization header. Takes it out of the request; raises 401 when it is none."""
    protocols = [protocol.strip() for protocol in request.header(_PROTOCOLS).split(",")]
    offered = [protocol.removeprefix(_PROTOCOL) for protocol in protocols if protocol.startswith(_PROTOCOL)]
    if not offered:
        return ""
    rest = [protocol for protocol in protocols if not protocol.startswith(_PROTOCOL)]
    if len(offered) > 1 or not rest:
        raise errors.unauthorized()
    request.headers[_PROTOCOLS] = ", ".join(rest).encode("latin-1")
    try:
        return base64.b64decode(offered[0] + "=" * (-len(offered[0]) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise errors.unauthorized() from None
