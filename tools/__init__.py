"""Turns a fresh checkout into a working environment. Run by make; nothing in the product imports it.

Everything that runs before the virtual environment exists uses the standard library only.
"""
