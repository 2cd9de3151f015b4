"""The demo: a user in a box. It stands above `main` and uses only what any user has: the command line and the official clients."""
