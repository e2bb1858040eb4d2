"""FastAPI: hooks now; API and console stand beside them."""
