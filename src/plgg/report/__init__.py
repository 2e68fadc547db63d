"""Pages to read: figures and tables in one HTML file each, which opens offline.

Draws from the records that other rooms left on disk; trains, predicts and scores nothing.
"""
