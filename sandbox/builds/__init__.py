"""The builds of the fork: recorded, queued, run one at a time, and followed by a terminal.

Here fork, account and runner meet.
"""
