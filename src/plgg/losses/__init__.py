"""The two terms of the loss, each blind to what is unknown, and their sum."""
