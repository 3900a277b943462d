"""A process that has imported what several apps import, and of which they are forked.

`program` is a bare program, started by the supervisor.
"""
