"""What everything else builds on: values, errors, time, the description of a system.

Standard library only.
"""
