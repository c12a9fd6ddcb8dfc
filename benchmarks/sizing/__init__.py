"""What an amount of rows needs: workers, lanes, engine, disk; computed from measured figures."""
