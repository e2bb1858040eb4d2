"""The simulated Kisi organisation."""
