"""From rows to a photo collection: what every way in shares.

ingest        from beginning to end: stage, select, write, report
staging       blocks of rows that are understood, kept on disk
cleaning      from what people typed to hashtags
selection     which users and photos are kept
report        every row that was read is accounted for
outlook       what training will miss of a collection
opening, places          files as they come; where a way in may write
writing                  collections, whole or not at all
features, feature_files  image features of a whole collection
"""
