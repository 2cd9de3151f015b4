"""How a Job is going to end: a value that `limits`, `failures` and `sync` pass among each other."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """Success or failure, with the reason and message that its conditions will carry."""

    success: bool
    reason: str
    message: str

    @property
    def interim(self) -> str:
        """The condition that says that the end is decided, while pods still terminate."""
        return "SuccessCriteriaMet" if self.success else "FailureTarget"

    @property
    def final(self) -> str:
        return "Complete" if self.success else "Failed"
