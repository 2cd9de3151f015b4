"""One pod from the object to its processes and back to its status: a pure core, and the worker that performs what it says."""
