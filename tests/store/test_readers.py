"""What was read lately stays decoded, up to a number of bytes."""

from lightship.store.readers import Readers


class Decoded:
    def __init__(self, size: int) -> None:
        self.size = size
        self.is_read = True
        self.is_there = True

    def forget(self) -> bool:
        if self.is_read:
            self.is_read = False
            return False
        self.is_there = False
        return True


def kept(readers: Readers, count: int, size: int = 10) -> list[Decoded]:
    made = [Decoded(size) for _ in range(count)]
    for each in made:
        readers.keep(each)
    return made


def test_what_fits_stays() -> None:
    assert all(each.is_there for each in kept(Readers(100), 10))


def test_the_oldest_goes_first() -> None:
    made = kept(Readers(100), 15)
    assert [each.is_there for each in made] == [False] * 5 + [True] * 10


def test_what_is_read_again_stays() -> None:
    readers = Readers(100)
    hot, *_ = kept(readers, 10)
    for _ in range(50):
        kept(readers, 1)
        hot.is_read = True
    assert hot.is_there


def test_the_newest_stays_however_big_it_is() -> None:
    readers = Readers(100)
    before = kept(readers, 5)
    (big,) = kept(readers, 1, 1000)
    kept(readers, 0)
    assert big.is_there
    (another,) = kept(readers, 1, 1000)
    kept(readers, 1)
    assert not big.is_there
    assert not any(each.is_there for each in before)
    assert another.size
