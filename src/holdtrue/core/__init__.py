"""Pure decisions: functions from values to values.

No clock, environment, network or SDK; time and ids come in as arguments.
"""
