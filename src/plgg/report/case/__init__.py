"""The report of one scan, as HTML or PDF: outline, volume, marker and quality warnings."""
