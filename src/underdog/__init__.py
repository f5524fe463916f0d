"""Underdog makes small language models that beat big ones, and puts them to work."""

__version__ = "0.1.0"
