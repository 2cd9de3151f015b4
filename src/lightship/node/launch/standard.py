"""The modules of the standard library that programs commonly import: a template has them ready.

None of them starts a thread or remembers anything of the process that imports it that `guise` does not renew. Those that are not there
in some version of Python are passed over.
"""

_NAMES = """
    argparse array ast asyncio base64 bisect calendar collections.abc concurrent.futures.thread contextlib copy csv ctypes dataclasses
    datetime decimal email.message enum fractions functools gettext glob gzip hashlib heapq hmac html http.client http.server
    importlib.metadata inspect io ipaddress itertools json locale logging math mimetypes multiprocessing.process numbers operator os pathlib
    pickle platform queue random re runpy secrets select selectors shlex shutil signal socket socketserver ssl statistics string struct
    subprocess tempfile textwrap threading traceback typing unittest urllib.request uuid warnings weakref xml.etree.ElementTree zipfile zlib
"""
COMMON = tuple(_NAMES.split())
