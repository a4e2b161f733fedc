"""Frozen typed values that cross a boundary, and the seams (Protocols) beside the values they exchange.

No I/O, no clock, no SDK: importing this package costs nothing but pydantic.
"""
