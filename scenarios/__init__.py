"""Black-box stories against a running stack."""
