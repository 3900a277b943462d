import pytest
from harness import Redis
from harness.multi_app import multi_app


@pytest.fixture(scope="session")
def dapr_topology():
    return multi_app("dapr.yaml", Redis(port=6379, password=False))
