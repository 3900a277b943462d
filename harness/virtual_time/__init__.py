"""A scheduler whose time the tests move: Dapr's scheduling on a clock that they hold.

The modules without I/O are `gotime`, `schedules`, `jobs`, `agenda` and `connections`. The rest is a
program of its own, which `harness.nodes.virtual_scheduler` starts, and the client of its clock.
"""
