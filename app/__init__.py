"""Composition root: settings, adapters to the outside, the processes and the command line. Nobody imports it."""
