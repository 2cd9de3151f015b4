"""Key pairs by which the launcher of an MPI job gets into its nodes, and nobody else does.

The controller asks when it creates a job's Secret, so that building stays pure and no key is made in vain. Randomness is the operating
system's: keys are no place for another.
Contract: Trainer 2.3 mpi plugin: ECDSA P-521, the private key as PEM (SEC1), the public one as a line of authorized_keys.
"""

import base64

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lightship.meta.objects import Obj

from .plugins.mpi import PRIVATE_KEY, PUBLIC_KEY, SSH_AUTH


def given(obj: Obj) -> Obj:
    """A Secret for SSH keys with new ones; anything else, and one that has some, as it is."""
    return {**obj, "data": make()} if obj.get("type") == SSH_AUTH and not obj.get("data") else obj


def make() -> dict[str, str]:
    """A pair by the names of the Secret's keys, base64 as on the wire."""
    key = ec.generate_private_key(ec.SECP521R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"
    return {PRIVATE_KEY: base64.b64encode(private).decode(), PUBLIC_KEY: base64.b64encode(public).decode()}
