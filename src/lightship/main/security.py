"""The secrets of a platform: its CA and certificate, the key of its tokens, the administrator's token and kubeconfig.

Called by `platform` at start. Everything is in `pki/` of the data directory, made at the first start and kept, so that kubeconfigs and
certificates that were handed out stay good. Keys are made by `apiserver.pki`.
"""

import re
import secrets
import ssl
import uuid
from pathlib import Path
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.apiserver import pki, tls
from lightship.apiserver.authn import Authenticator, FirstOf, StaticTokens
from lightship.apiserver.tokens import Tokens
from lightship.cli.errors import CliError
from lightship.client import kubeconfig
from lightship.meta.rest import User

from .instance import Instance

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]{32,}")
"""What a bearer token may look like (RFC 6750), and long enough that nobody guesses it."""


class Security(NamedTuple):
    """What the server's fronts need."""

    context: ssl.SSLContext
    tokens: Tokens
    authenticator: Authenticator
    admin_token: str
    ca_pem: str


def open_security(instance: Instance, clock: Clock, admin: User) -> Security:
    """Read the platform's secrets, making what is missing or about to expire. Raises `CliError` when they cannot be read or written."""
    directory = instance.pki
    try:
        if not tls.is_current(directory, clock.now()):
            pki.issue(directory, clock.now())
        ca_pem = (directory / tls.CA).read_text()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca_pem)  # clients could not verify us by a damaged one
        tokens = Tokens(pki.signing_key(directory / "sa.key"), clock, lambda: str(uuid.uuid4()))
        admin_token = _admin_token(directory / "admin.token")
        return Security(
            context=tls.server_context(directory),
            tokens=tokens,
            authenticator=FirstOf([StaticTokens({admin_token: admin}), tokens]),
            admin_token=admin_token,
            ca_pem=ca_pem,
        )
    except (OSError, ValueError) as error:
        raise CliError(f"the keys in {directory} cannot be used: {error}", hint="move that folder away to have new ones made") from error


def _admin_token(path: Path) -> str:
    """The token in the file; a new one where there is none, or what is there is too short to be one."""
    found = path.read_bytes() if path.exists() else b""
    if not _TOKEN.fullmatch(found):
        found = secrets.token_urlsafe(32).encode()
        pki.write_private(path, found)
    return found.decode()


def write_kubeconfig(instance: Instance, security: Security, url: str) -> None:
    """The administrator's kubeconfig, readable by its owner only."""
    kubeconfig.save(kubeconfig.render(url, security.ca_pem, security.admin_token, name="lightship"), instance.kubeconfig)
