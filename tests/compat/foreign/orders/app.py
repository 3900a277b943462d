"""Keeps each order that is published, with its price in the currency of the deployment."""

import json
import os

from dapr.clients import DaprClient
from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI, HTTPException

app = FastAPI()
dapr = DaprApp(app)


@dapr.subscribe(pubsub="orders-pubsub", topic="orders")
def take(event: dict) -> None:
    order = event["data"]
    kept = {"price": f"{order['price']} {os.environ['CURRENCY']}", "shop": os.environ["SHOP"]}
    with DaprClient() as client:
        client.save_state("orders-store", str(order["id"]), json.dumps(kept))


@app.get("/orders/{number}")
def look(number: str) -> dict:
    with DaprClient() as client:
        found = client.get_state("orders-store", number).data
    if not found:
        raise HTTPException(404)
    return json.loads(found)
