"""Thin: decode, call connector or storage, return, raise a classified fault."""
