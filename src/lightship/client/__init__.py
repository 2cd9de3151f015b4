"""The client of a Kubernetes API, any: verbs (`client`), informers (`informer`, `cache`), and HTTP with kubeconfig (`http`, `kubeconfig`).

Controllers, agents and the command line stand on it. It knows `meta` and `aio` and no server: what it talks to is a `Transport`.
"""

from lightship.client.cache import Cache
from lightship.client.client import Client
from lightship.client.informer import Informer

__all__ = ["Cache", "Client", "Informer"]
