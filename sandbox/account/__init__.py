"""The account: MiniStack on the loopback, and what template.yml has deployed into it.

It knows nothing of builds, nor of the fork.
"""
