"""The whole way: the same splits for every arm, each (split, arm, grid point) a run of its own."""
