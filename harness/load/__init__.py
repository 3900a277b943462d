"""Load tests with reliable numbers: open-loop users for Locust, HDR histograms, validity.

A locustfile imports `users`, `dapr_users` or `grpc_users`; nothing else imports Locust, which runs
in a separate process, because gevent patches the process that imports it. `runner` does a whole
run: `generate` sends, `measure` records, `judge` evaluates, and `render` reports.
"""
