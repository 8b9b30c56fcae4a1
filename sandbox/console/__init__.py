"""The console: pages of the project, its builds and the function, for the student's browser.

It reads what builds and account have written and starts builds; nothing else knows of it.
"""
