"""A live page for a stack that is up: one server on loopback, with a random token in its address.

`record` and `feed` read the stack and keep what the page shows, `guard` decides who is answered, and
`app` answers. Only `app` needs Starlette (the extra ``ui``), and only `serve` opens a port.
"""
