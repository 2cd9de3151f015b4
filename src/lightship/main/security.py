"""The secrets of a platform: its CA and certificate, the key of its tokens, the administrator's token and kubeconfig.

Called by `platform` at start. Everything is in `pki/` of the data directory, made at the first start and kept, so that kubeconfigs and
certificates that were handed out stay good. Keys are made by `apiserver.pki`.
"""

import re
import secrets
import ssl
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.apiserver.access import pki
from lightship.apiserver.access.authn import Authenticator, FirstOf, StaticTokens
from lightship.apiserver.access.client_certificates import ClientCertificates
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.requests import TokenSubject
from lightship.apiserver.transport import tls
from lightship.cli.errors import CliError
from lightship.client import kubeconfig
from lightship.meta.objects import Obj
from lightship.meta.rest import User

from .instance import Instance

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]{32,}")
"""What a bearer token may look like (RFC 6750), and long enough that nobody guesses it."""


class Security(NamedTuple):
    """What the server's fronts need."""

    context: ssl.SSLContext
    tokens: Tokens
    authenticator: Authenticator
    certificates: ClientCertificates
    admin_token: str
    ca_pem: str
    proxy_ca_pem: str
    directory: Path


def open_security(instance: Instance, clock: Clock, admin: User, names: Sequence[str] = (), *, durable: bool = True) -> Security:
    """Read the platform's secrets, making what is missing or about to expire; `names` are further names that clients know the server by.

    Not `durable`: nobody waits until they are on disk. Raises `CliError` when they cannot be read or written.
    """
    directory = instance.pki
    try:
        if not tls.is_current(directory, clock.now(), names):
            pki.issue(directory, clock.now(), names, durable=durable)
        ca_pem = (directory / tls.CA).read_text()
        proxy_ca_pem = (directory / tls.PROXY_CA).read_text()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca_pem)  # clients could not verify us by a damaged one
        tokens = Tokens(pki.signing_key(directory / "sa.key", durable=durable), clock, lambda: str(uuid.uuid4()))
        admin_token = _admin_token(directory / "admin.token", durable=durable)
        return Security(
            context=tls.server_context(directory),
            tokens=tokens,
            authenticator=FirstOf([StaticTokens({admin_token: admin}), tokens]),
            certificates=ClientCertificates(clock, ca_pem.encode(), proxy_ca_pem.encode(), [tls.PROXY_NAME]),
            admin_token=admin_token,
            ca_pem=ca_pem,
            proxy_ca_pem=proxy_ca_pem,
            directory=directory,
        )
    except (OSError, ValueError) as error:
        raise CliError(f"the keys in {directory} cannot be used: {error}", hint="move that folder away to have new ones made") from error


def authentication_facts(security: Security) -> Obj:
    """The ConfigMap by which servers behind this one know whom to believe: its users' authority, and that of its own front proxy."""
    return {
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": security.ca_pem,
            "requestheader-client-ca-file": security.proxy_ca_pem,
            "requestheader-allowed-names": f'["{tls.PROXY_NAME}"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
        },
    }


def signs_for_secrets(tokens: Tokens) -> Callable[[str, str, str, str], str]:
    """What the controller of token Secrets signs with."""

    def sign(namespace: str, account: str, uid: str, secret: str) -> str:
        return tokens.issue_held(TokenSubject(namespace, account, uid, "Secret", secret))

    return sign


def _admin_token(path: Path, *, durable: bool) -> str:
    """The token in the file; a new one where there is none, or what is there is too short to be one."""
    found = path.read_bytes() if path.exists() else b""
    if not _TOKEN.fullmatch(found):
        found = secrets.token_urlsafe(32).encode()
        pki.write_private(path, found, durable=durable)
    return found.decode()


def write_kubeconfig(instance: Instance, security: Security, url: str) -> None:
    """The administrator's kubeconfig, readable by its owner only."""
    kubeconfig.save(kubeconfig.render(url, security.ca_pem, security.admin_token, name="lightship"), instance.kubeconfig)
