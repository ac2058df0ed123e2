"""Runs a command of which Debian's library packages bring only the module.

Usage: run_command.py NAME MODULE [ARGUMENT...]
"""
import importlib
import sys

name, module = sys.argv[1:3]
sys.argv = [name, *sys.argv[3:]]
sys.exit(importlib.import_module(module).main())
