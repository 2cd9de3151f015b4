"""Go's text/template as Stages use it: pipelines, `if`, `range`, `with`, variables, `define`, and the functions that kwok offers.

`parse(text, names)` gives a `Template`; what is not known here is refused with its name when it is parsed, as Go does it.
Contract: Go's text/template; sprig 3 and kwok 0.8.0 for functions.
"""

from lightship.emulation.templates.tree import Template, parse
from lightship.emulation.templates.values import TemplateError

__all__ = ["Template", "TemplateError", "parse"]
