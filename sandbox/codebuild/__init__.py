"""The runner: a buildspec and a checkout in, a log and an outcome out.

It knows no laptop, no emulator and no git server: what it needs of them it is given, as a
runner.Machine.
"""
