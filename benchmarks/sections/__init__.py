"""The sections: one figure each, by name, in the order of the table.

To add one, write a module with a ``SECTION`` and name it here.
"""
