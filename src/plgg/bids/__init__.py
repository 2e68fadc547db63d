"""BIDS App: FLAIRs of a BIDS dataset in, a BIDS derivative dataset out.

OUT_DIR/dataset_description.json, README, .bidsignore
OUT_DIR/sub-X[/ses-Y]/anat/sub-X[_…]_desc-plgg_{mask,probseg}.nii.gz   with their sidecars
OUT_DIR/sub-X[/ses-Y]/anat/sub-X[_…]_desc-plgg_dseg.nii.gz, .tsv       of models with labels
OUT_DIR/reports/sub-X[_…].html                    the page of each scan
OUT_DIR/desc-plgg_measurements.tsv, group.html    of all scans, by the group level
OUT_DIR/sourcedata/plgg/sub-X/                    what plgg predict writes, and a record a scan
"""
