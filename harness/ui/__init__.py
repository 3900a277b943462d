"""A live page for a stack that is up, on loopback, with a random token in its address.

`feed` reads the stack, `record` keeps what it tells the pages, `guard` decides who is answered,
`app` answers, and `serve` listens. Only `app` needs Starlette, which is in the extra ``ui``.
"""
