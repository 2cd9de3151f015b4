"""Bearer tokens in files that are rotated."""

from pathlib import Path

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.client.credentials import Token, TokenFile


def test_a_fixed_token() -> None:
    assert Token("t").header() == "Bearer t"
    assert Token("").header() == ""
    assert not Token("t").refused()


def test_a_token_file_is_read_again_every_minute(tmp_path: Path) -> None:
    async def main() -> None:
        clock, file = LoopClock(), tmp_path / "token"
        file.write_text("one\n")
        found = TokenFile(file, clock)
        assert found.header() == "Bearer one"
        file.write_text("two\n")
        await clock.sleep(59)
        assert found.header() == "Bearer one"
        await clock.sleep(2)
        assert found.header() == "Bearer two"
        file.unlink()
        await clock.sleep(61)
        assert found.header() == "Bearer two", "a file that is being replaced is no reason to stop"

    virtual.run(main())


def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "token"
        file.write_text("one")
        found = TokenFile(file, LoopClock())
        assert found.header() == "Bearer one"
        assert not found.refused(), "the file says nothing new"
        file.write_text("two")
        assert found.refused()
        assert found.header() == "Bearer two"
        file.unlink()
        assert not found.refused()

    virtual.run(main())


def test_a_token_file_that_never_was(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="token"):
            TokenFile(tmp_path / "token", LoopClock()).header()

    virtual.run(main())
