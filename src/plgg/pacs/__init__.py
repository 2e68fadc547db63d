"""Exchange with a PACS by DICOMweb or DIMSE.

    address, credentials → archive (web, dimse)
    archive → find, pull, push
    pull, predict, push → work → watch (polls a server), listen (receives images)

Files and messages name studies by a hash; data from a server is checked before it is stored.
"""
