"""Black-box tests against a running stack."""
