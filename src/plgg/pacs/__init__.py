"""To and from a PACS, by DICOMweb or DIMSE.

    address, credentials → archive (web, dimse)
    archive → find, pull, push
    pull, predict, push → process → watch (asks a server), listen (is sent images)

Studies are named by a hash wherever plgg writes; what a server says is checked before it is kept.
"""
