"""How many machines a load needs."""
