"""The ways in: what a row is and what it says, one family of files each.

open_art*    the shipped collection, from its packages
table*       any table
folder*      somebody's own pictures
flickr_*     the archive that Flickr gives its members
yfcc100m*    YFCC100M's metadata
simulated*   a made-up site whose truth is known
"""
