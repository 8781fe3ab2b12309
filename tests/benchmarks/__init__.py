"""Benchmarks: what they print is a measurement, never a verdict of the test suite."""
