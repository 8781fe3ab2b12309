"""The pool that callback numbers are leased from, and who a callback is put through to."""
