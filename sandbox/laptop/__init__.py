"""The student's machine: paths, processes, files, the way to the network, and the terminal.

It knows nothing of what runs on it: no account, no fork, no build.
"""
