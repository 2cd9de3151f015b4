"""`python -m lightship.train.runtime.initializers.dataset`: bring the dataset of STORAGE_URI to /workspace/dataset."""

import os
import sys

from . import program
from .settings import DATASET

if __name__ == "__main__":
    sys.exit(program.main(DATASET, os.environ))
