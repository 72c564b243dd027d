"""One module per system: which texts are asked for and how answers become pairs."""
