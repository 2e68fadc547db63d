"""Pages to read: figures and tables in one HTML file each, which opens offline."""
