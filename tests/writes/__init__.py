"""Tests of `writes`."""
