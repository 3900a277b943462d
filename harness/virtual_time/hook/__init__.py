"""A folder for PYTHONPATH, with which a Python app follows the clock of its stack.

What is in it runs in the interpreter of an app: standard library only, Python 3.10 and later.
"""
