"""The course on this machine.

explorer   step through a user's photos in a notebook
tutorial   run all notebooks, write them as pages
doctor     can this machine run them?
"""
