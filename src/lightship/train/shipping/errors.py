"""What goes wrong when code is made ready to travel: one error, with what to do about it."""


class ShippingError(ValueError):
    """`hint` says what to do, where something can be done."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
