"""The fair queue of one priority level: many short queues, of which a flow sees only a few, served in turn. Pure.

A flow that asks for a lot fills its own few queues; the chance that another flow has none left beside it is tiny (shuffle sharding). The
queue that has been given the fewest seats so far is served next, so that a long queue gets no more than a short one.
Contract: KEP-1040; flowcontrol.apiserver.k8s.io/v1 QueuingConfiguration.
"""

import hashlib
from collections import deque
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")


class Queues(Generic[T]):
    """`queues` queues of at most `length` items; every flow is dealt a hand of `hand` of them."""

    def __init__(self, queues: int, hand: int, length: int) -> None:
        self._count = max(queues, 1)
        self._hand = max(min(hand, self._count), 1)
        self._length = length
        self._queues: dict[int, deque[T]] = {}
        self._served: dict[int, int] = {}
        self._round = 0

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def push(self, flow: str, item: T) -> bool:
        """Queue an item in the shortest queue of its flow's hand; False when that is full."""
        shortest = min(deal(flow, self._count, self._hand), key=lambda number: len(self._queues.get(number) or ()))
        queue = self._queues.setdefault(shortest, deque())
        if len(queue) >= self._length:
            return False
        if not queue:
            # Who comes back after a pause has no claim to what passed meanwhile.
            self._served[shortest] = max(self._served.get(shortest, 0), self._round)
        queue.append(item)
        return True

    def pop(self) -> T | None:
        """The next item in fairness; None when there is none."""
        if not self._queues:
            return None
        number = min(self._queues, key=lambda n: (self._served[n], n))
        queue = self._queues[number]
        self._round = self._served[number]
        self._served[number] += 1
        item = queue.popleft()
        if not queue:
            del self._queues[number]
            if not self._queues:
                self._served.clear()
                self._round = 0
        return item

    def remove(self, item: T) -> None:
        """Take out an item that has given up waiting."""
        for number, queue in list(self._queues.items()):
            if item in queue:
                queue.remove(item)
                if not queue:
                    del self._queues[number]
                return


@lru_cache(maxsize=4096)
def deal(flow: str, queues: int, hand: int) -> tuple[int, ...]:
    """The hand of a flow: `hand` different queues out of `queues`, always the same for the same flow."""
    bits = int.from_bytes(hashlib.blake2b(flow.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")
    deck = list(range(queues))
    dealt = []
    for _ in range(hand):
        bits, choice = divmod(bits, len(deck))
        dealt.append(deck.pop(choice))
    return tuple(dealt)
