"""The contract, in memory."""

from lightship import store
from lightship.store import Store
from tests.store.contract import StoreContract
from tests.store.manual_clock import ManualClock


class TestMemory(StoreContract):
    def opened(self, clock: ManualClock, limits: store.Limits) -> Store:
        return store.memory(clock=clock, limits=limits)
