"""A clock that moves when told: the store reads the time but never waits for it."""


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the store never sleeps")

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
