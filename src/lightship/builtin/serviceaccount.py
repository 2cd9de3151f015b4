"""The ServiceAccount `default` in every namespace, so that pods that name none have one. Woken by namespaces and ServiceAccounts."""

from collections.abc import Iterable

from lightship.control import Controller, Done, Manager, Outcome, Watch, itself
from lightship.kinds import NAMESPACES, SERVICE_ACCOUNTS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

NAME = "default"


def controller(manager: Manager) -> Controller:
    watches = [itself(NAMESPACES), Watch(SERVICE_ACCOUNTS, _namespace_key)]
    return Controller("serviceaccount", ServiceAccountReconciler(manager), watches=watches)


class ServiceAccountReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._namespaces = manager.cache.informer(NAMESPACES)
        self._accounts = manager.cache.informer(SERVICE_ACCOUNTS)

    async def reconcile(self, key: Key) -> Outcome:
        namespace = self._namespaces.get(key)
        if namespace is None or objects.is_deleting(namespace) or self._accounts.get(Key(key.name, NAME)):
            return Done()
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": key.name}}
        try:
            await self._client.create(SERVICE_ACCOUNTS, account)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                raise
        return Done()


def _namespace_key(account: Obj) -> Iterable[Key]:
    return (Key("", objects.namespace(account)),) if objects.name(account) == NAME else ()
