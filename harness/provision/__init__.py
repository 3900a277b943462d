"""WHAT is installed: finding, downloading, building and preparing the real programs."""
