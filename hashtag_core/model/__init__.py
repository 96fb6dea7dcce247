"""The model: Equations 2 to 9, and the encoders that the paper compares with."""
