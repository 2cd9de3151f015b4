"""Lightship: the whole Kubeflow-class AI platform in one pip install.

The package is a house of rooms (docs/architecture.md): ground (`meta`, `aio`, `kinds`), server (`store`, `apiserver`),
kits (`client`, `control`, `cli`), agents (`builtin`, `scheduler`, `node`) and capabilities (`train`). Only `main` knows them all.
Importing this module costs nothing; use `lightship.testing` for a platform inside a test, the `lightship` command otherwise.
"""

__version__ = "0.1.0"
