"""The kernel: see kernel.py for how the parts are wired. Userland must not import anything from here."""
