"""Renders a result: the HTML page, its charts, JUnit, and the HdrHistogram log."""
