"""The ConfigMap `kube-root-ca.crt` in every namespace: what pods need to trust the API server. Woken by namespaces and ConfigMaps."""

from collections.abc import Iterable

from lightship.control import Controller, Done, Manager, Outcome, Watch, itself
from lightship.kinds import CONFIG_MAPS, NAMESPACES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

NAME = "kube-root-ca.crt"
FIELD = "ca.crt"


def controller(manager: Manager, ca_pem: str) -> Controller:
    """`ca_pem`: the certificates of the authority that signed the API server's, as PEM."""
    watches = [itself(NAMESPACES), Watch(CONFIG_MAPS, _namespace_key)]
    return Controller("rootca", RootCaReconciler(manager, ca_pem), watches=watches)


class RootCaReconciler:
    def __init__(self, manager: Manager, ca_pem: str) -> None:
        self._client = manager.client
        self._ca_pem = ca_pem
        self._namespaces = manager.cache.informer(NAMESPACES)
        self._maps = manager.cache.informer(CONFIG_MAPS)

    async def reconcile(self, key: Key) -> Outcome:
        namespace = self._namespaces.get(key)
        if namespace is None or objects.is_deleting(namespace):
            return Done()
        wanted = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": key.name},
            "data": {FIELD: self._ca_pem},
        }
        await self._client.apply(CONFIG_MAPS, wanted, live=self._maps.get(Key(key.name, NAME)))
        return Done()


def _namespace_key(config_map: Obj) -> Iterable[Key]:
    return (Key("", objects.namespace(config_map)),) if objects.name(config_map) == NAME else ()
