"""The demo: real shops, streets and purchases, walking phones; joined by our own mapping, and saying so."""
