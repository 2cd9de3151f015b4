"""Are those whom a ServiceAccount token speaks of still there?

`main` gives `alive(store)` to `tokens.Tokens`, which asks for every use of one: a deleted ServiceAccount or pod ends its tokens at once,
however long they were issued for. Contract: KEP-1205, bound ServiceAccount tokens.
"""

from collections.abc import Callable

from lightship.apiserver.requests import TokenSubject
from lightship.store import Store

_BUCKETS = {"Pod": "core/pods", "Secret": "core/secrets", "Node": "core/nodes"}


def alive(store: Store) -> Callable[[TokenSubject], bool]:
    """A function that looks a token's subject up by name and uid."""

    def is_alive(subject: TokenSubject) -> bool:
        if not _is(store, f"core/serviceaccounts/{subject.namespace}/{subject.service_account}", subject.service_account_uid):
            return False
        if not subject.bound_kind:
            return True
        namespace = "" if subject.bound_kind == "Node" else subject.namespace
        return _is(store, f"{_BUCKETS[subject.bound_kind]}/{namespace}/{subject.bound_name}", subject.bound_uid)

    return is_alive


def _is(store: Store, key: str, uid: str) -> bool:
    record = store.get(key)
    return record is not None and record.obj["metadata"]["uid"] == uid
