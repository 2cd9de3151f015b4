"""Which event loop a platform runs on: uvloop's where it is installed (the extra `fast`), Python's own everywhere else.

Called by `serving` and `lightship.testing`. Both do the same; uvloop takes about a sixth less processor time for each request.
"""

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made
