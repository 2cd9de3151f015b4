"""How something that changes in steps was over time: its mean, its peak, and a few equal parts of the whole for a small chart. Pure.

Called by `ledger` and `report`. Parts become twice as long whenever there would be too many, so that neither the end nor the number of
changes need be known.
"""

MOST = 96
"""Parts that are kept; half as many at least once there were so many."""
FIRST_WIDTH = 60.0
"""Seconds of a part at first."""


class Timeline:
    """A level over time; times are seconds from the beginning, and never go back."""

    def __init__(self) -> None:
        self.level = 0.0
        self.peak = 0.0
        self.width = FIRST_WIDTH
        self._parts: list[float] = []
        """The integral of the level over each part."""
        self._since = 0.0

    def add(self, amount: float, at: float) -> None:
        """The level changes by `amount`."""
        self.advance(at)
        # Sums of fractions of cores come out a hair above or below nothing.
        self.level = max(0.0, round(self.level + amount, 6))
        self.peak = max(self.peak, self.level)

    def advance(self, at: float) -> None:
        """The level has stayed until now."""
        while self._since < at:
            number = int(self._since / self.width)
            if number >= MOST:
                self._merge()
                continue
            while len(self._parts) <= number:
                self._parts.append(0.0)
            end = min(at, (number + 1) * self.width)
            self._parts[number] += self.level * (end - self._since)
            self._since = end

    @property
    def total(self) -> float:
        """The level times seconds, over all."""
        return sum(self._parts)

    @property
    def mean(self) -> float:
        return self.total / self._since if self._since else 0.0

    def means(self) -> list[float]:
        """The mean level of each part; the last one may be shorter than the others."""
        found = [part / self.width for part in self._parts]
        if found and (rest := self._since - (len(found) - 1) * self.width) > 0:
            found[-1] = self._parts[-1] / rest
        return found

    def _merge(self) -> None:
        parts = self._parts
        self._parts = [sum(parts[i : i + 2]) for i in range(0, len(parts), 2)]
        self.width *= 2


BLOCKS = " ▁▂▃▄▅▆▇█"


def spark(values: list[float], most: float, width: int = 24) -> str:
    """A chart of one line: each character is the mean of its share of the values."""
    if not values or most <= 0:
        return ""
    width = min(width, len(values))
    shown = []
    for i in range(width):
        share = values[i * len(values) // width : (i + 1) * len(values) // width]
        level = sum(share) / len(share) / most
        shown.append(BLOCKS[min(8, max(1 if level > 0 else 0, round(level * 8)))])
    return "".join(shown)
