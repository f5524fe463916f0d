"""Runs code that a model wrote where it can do no harm, and where it cannot see what the right answer is."""
