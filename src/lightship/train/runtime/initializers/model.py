"""`python -m lightship.train.runtime.initializers.model`: bring the pre-trained model of STORAGE_URI to /workspace/model."""

import os
import sys

from . import program
from .settings import MODEL

if __name__ == "__main__":
    sys.exit(program.main(MODEL, os.environ))
