"""The programs that Lightship is compared with: where they are, and how each is started. `build` makes them; see README.md."""
