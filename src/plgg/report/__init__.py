"""Pages to read: an experiment's figures and tables in one HTML file that opens offline.

Draws from the records that other rooms left on disk; trains, predicts and scores nothing.
"""

from plgg.report.experiment import write_experiment_report

__all__ = ["write_experiment_report"]
