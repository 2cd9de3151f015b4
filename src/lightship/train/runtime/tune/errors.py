"""What can be wrong with a command of `tune`; the message is for whoever wrote the TrainJob."""


class TuneError(Exception):
    """Says what was asked, what was found and what to do."""
