"""What goes wrong at the command line: one line that says it, one hint that helps, an exit code.

Raised by every command; `__main__` prints it and exits. A traceback is shown only with LIGHTSHIP_DEBUG=1, because nobody asked for one.
"""


class CliError(Exception):
    """`message`: what was asked and what was found. `hint`: what to do next. `code`: the exit status."""

    def __init__(self, message: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def text(self) -> str:
        return f"lightship: {self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")
