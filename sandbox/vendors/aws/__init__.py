"""AWS as moto answers for it."""
