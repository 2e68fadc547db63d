"""The page of one scan: outline, volume, class and doubts in one HTML file."""
