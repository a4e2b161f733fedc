"""Prefect tasks: thin. Each takes its adapter from the toolbox, calls it and returns a model.

Retry, timeout, cache and span policy live here; decisions live in `holdtrue.core`, credentials in `blocks`.
"""
