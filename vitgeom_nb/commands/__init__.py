"""What the command line can do, a module a command: its options, and what it prints.

A command imports what it needs when it runs: help, lists and tables come without torch.
"""
