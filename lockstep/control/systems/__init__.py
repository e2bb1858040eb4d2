"""Systems as operations see and pause them."""
