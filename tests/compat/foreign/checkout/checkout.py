"""Publishes a few orders, and ends."""

import json
import os

from dapr.clients import DaprClient

with DaprClient() as client:
    for number in range(int(os.environ["COUNT"])):
        order = json.dumps({"id": number, "price": 10 + number})
        client.publish_event("orders-pubsub", "orders", order, data_content_type="application/json")
        print("published", number, flush=True)
