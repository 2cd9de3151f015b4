"""`/proxy` of nodes: what the real server carries to the kubelet's own web server, which nodes of ours do not have.

`Server.proxy` asks. Contract: core/v1 connectGetNodeProxy; kube-apiserver pkg/registry/core/node/strategy.go (ResourceLocation).
"""

from lightship.apiserver.core import Core
from lightship.meta import errors
from lightship.meta.errors import StatusError


def refusal(core: Core, text: str) -> StatusError:
    """Why a node (as it is named in the path) cannot be reached so."""
    name = text.split(":")[1 if text.count(":") == 2 else 0]
    if core.store.get(f"core/nodes//{name}") is None:
        return errors.not_found("nodes", name)
    return errors.unavailable(f"error trying to reach service: node {name} has no web server")
