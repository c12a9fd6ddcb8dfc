"""PostgreSQL as a source: preflight, read strategies, summaries. No row ever becomes a dictionary
on the copy path, and no transaction outlives a page.
"""
