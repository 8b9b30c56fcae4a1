"""The fork: a bare repository that stands for the student's fork on GitHub, and its webhook.

It knows nothing of builds, nor of the account: the webhook's filters are handed to it.
"""
