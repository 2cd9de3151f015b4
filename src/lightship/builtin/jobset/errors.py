"""What keeps a JobSet from being worked on; the texts are upstream's."""


class JobSetError(Exception):
    """Something about a JobSet, its Jobs or its pods is not as it must be: tried again, and nothing is reported meanwhile."""
