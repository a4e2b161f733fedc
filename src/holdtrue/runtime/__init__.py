"""What every adapter stands on: child processes that never outlive their run, private folders, tracing.

No tool is known here.
"""
