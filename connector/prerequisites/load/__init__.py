"""Gathers the facts that the checks judge from the directory."""
