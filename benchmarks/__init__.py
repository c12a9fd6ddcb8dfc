"""Speed and scale, measured side by side on this machine: ``make bench``.

Each figure compares our own code path with something else in the same run, because machines are
noisy: what another program reaches, what the search engine can take, or a fixed bound. Nothing in
here is part of the provider.
"""
