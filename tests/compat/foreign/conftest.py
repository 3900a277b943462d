import pytest
from harness import Redis
from harness.runfile.topology import multi_app


@pytest.fixture(scope="session")
def dapr_topology():
    return multi_app("dapr.yaml", Redis(port=6379, password=False))
