"""Load tests with reliable numbers: open-loop users for Locust, HDR histograms, validity.

Locust runs in a separate process, because gevent patches the process that imports it. Here, only
`users` imports it, and only a locustfile imports `users`.
"""
