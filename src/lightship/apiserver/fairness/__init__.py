"""Priority and fairness: when more is asked than can be done at once, everybody gets a share and nobody starves.

`flows` says which schema, level and flow a request belongs to; `queues` is the fair queue of one level; `gate` hands out seats and is what
the front asks. Flow schemas and levels are ordinary objects that administrators may change at any time.
Contract: flowcontrol.apiserver.k8s.io/v1; KEP-1040. The front sets the X-Kubernetes-PF-* headers.
"""

from .flows import Flow
from .gate import Gate, Pass

__all__ = ["Flow", "Gate", "Pass"]
