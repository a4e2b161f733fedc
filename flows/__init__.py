"""Prefect flows: the order of work, read from top to bottom like a runbook. No classes, no SDK, no decisions."""
