"""Load whose numbers can be trusted: open-loop users for Locust, HDR histograms, validity.

Locust runs in a process of its own: gevent patches what it is imported into. Nothing here imports
it but `users`, which a locustfile imports.
"""
