"""The benchmark: Lockstep beside bare Temporal, alternately, on one machine (`python -m bench`)."""
