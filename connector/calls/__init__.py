"""The emergency call: what it is, what happens to it, and what must be done about it. No I/O."""
