"""What a network learns: the losses of its tasks and how they are weighted."""
