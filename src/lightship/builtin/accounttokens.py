"""Secrets of type kubernetes.io/service-account-token: fills each with a token of its ServiceAccount, and deletes it with that account.

Woken by such Secrets and by ServiceAccounts. The tokens are signed by whoever `main` hands in; they are good as long as the Secret holds
them. Contract: kube-controller-manager pkg/controller/serviceaccount/tokens_controller.go.
"""

import base64
from collections.abc import Callable, Iterable
from typing import TypeAlias

from lightship.builtin import children
from lightship.control import Controller, Done, Manager, Outcome, Watch, itself
from lightship.kinds import SECRETS, SERVICE_ACCOUNTS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

TYPE = "kubernetes.io/service-account-token"
ACCOUNT, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_INDEX = "builtin/secrets-of-accounts"

Sign: TypeAlias = Callable[[str, str, str, str], str]
"""(namespace, name and uid of a ServiceAccount, name of a Secret) → a token for that Secret."""


def controller(manager: Manager, sign: Sign, ca_pem: str) -> Controller:
    """`ca_pem`: the certificates that the API server is to be trusted by, as PEM."""
    # Not all Secrets: only this type's are kept in the cache.
    watched = itself(SECRETS, fields=f"type={TYPE}")
    secrets = manager.cache.informer(SECRETS, fields=watched.fields)
    secrets.add_index(_INDEX, lambda secret: (f"{objects.namespace(secret)}/{objects.annotations(secret).get(ACCOUNT)}",))

    def of_account(account: Obj) -> Iterable[Key]:
        where = f"{objects.namespace(account)}/{objects.name(account)}"
        return secrets.keys_by_index(_INDEX, where)

    return Controller(
        "serviceaccount-token", TokenReconciler(manager, sign, ca_pem), watches=[watched, Watch(SERVICE_ACCOUNTS, of_account)]
    )


class TokenReconciler:
    def __init__(self, manager: Manager, sign: Sign, ca_pem: str) -> None:
        self._client = manager.client
        self._sign = sign
        self._ca_pem = ca_pem
        self._secrets = manager.cache.informer(SECRETS, fields=f"type={TYPE}")

    async def reconcile(self, key: Key) -> Outcome:
        secret = self._secrets.get(key)
        if secret is None or objects.is_deleting(secret):
            return Done()
        found = objects.annotations(secret)
        # Asked live: a cache that has not heard of a new account yet must not cost its Secret.
        account = await self._client.get_or_none(SERVICE_ACCOUNTS, found.get(ACCOUNT) or "-", key.namespace)
        if account is None or found.get(ACCOUNT_UID) not in (None, "", objects.uid(account)):
            await children.remove(self._client, SECRETS, secret)
        elif lacking := self._lacking(secret, account):
            await self._write(key, secret, account, lacking)
        return Done()

    def _lacking(self, secret: Obj, account: Obj) -> dict[str, str]:
        data = secret.get("data") or {}
        wanted: dict[str, str] = {}
        if data.get("ca.crt") != _encoded(self._ca_pem):
            wanted["ca.crt"] = _encoded(self._ca_pem)
        if not data.get("namespace"):
            wanted["namespace"] = _encoded(objects.namespace(secret))
        if not data.get("token"):
            names = objects.namespace(secret), objects.name(account), objects.uid(account), objects.name(secret)
            wanted["token"] = _encoded(self._sign(*names))
        return wanted

    async def _write(self, key: Key, secret: Obj, account: Obj, data: dict[str, str]) -> None:
        change = {
            "metadata": {
                "annotations": {ACCOUNT: objects.name(account), ACCOUNT_UID: objects.uid(account)},
                # Somebody may have filled it in the meantime: then it is looked at again.
                "resourceVersion": secret["metadata"]["resourceVersion"],
            },
            "data": data,
        }
        try:
            await self._client.patch(SECRETS, key.name, change, key.namespace)
        except errors.StatusError as error:
            if not (errors.is_conflict(error) or errors.is_not_found(error)):
                raise


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
