def test_what_checkout_publishes_is_kept(dapr_sync):
    orders = dapr_sync.app("orders")

    def kept():
        assert orders.get("/orders/2").json() == {"price": "12 EUR", "shop": "Main Street"}

    dapr_sync.eventually(kept)


def test_an_order_of_this_test_is_kept(dapr_sync):
    order = {"id": dapr_sync.name("order"), "price": 7}
    dapr_sync.sidecar("orders").publish("orders-pubsub", "orders", order)

    def kept():
        answer = dapr_sync.app("orders").get(f"/orders/{order['id']}")
        assert answer.status_code == 200
        assert answer.json()["price"] == "7 EUR"

    dapr_sync.eventually(kept)
