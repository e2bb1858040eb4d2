"""Channels to what stands near: sockets that are spoken to by lines, and files beside them."""
