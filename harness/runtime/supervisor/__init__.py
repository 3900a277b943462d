"""The supervisor: a bare program (``program.py``) that owns everything a run starts.

Only the standard library, and harness modules that need nothing else: a stack waits for its start.
"""
