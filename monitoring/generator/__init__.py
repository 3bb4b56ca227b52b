"""What monitoring/generate is made of."""
