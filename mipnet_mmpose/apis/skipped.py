import warnings


class Skipped:
    """Count what is passed over, to warn once of each kind."""

    def __init__(self):
        self.counts = {}
        self.examples = {}

    def add(self, what: str, example: str, count: int = 1) -> None:
        """Count some images or boxes.

        Args:
            what (str): the kind, in the plural.
            example (str): of the first one it is shown.
            count (int): how many. Defaults to 1.
        """
        if count:
            self.counts[what] = self.counts.get(what, 0) + count
            self.examples.setdefault(what, example)

    def warn(self) -> None:
        """Warn of each kind, with its count and its first case."""
        for what, count in self.counts.items():
            warnings.warn(
                f'skipped {count} {what}, the first: {self.examples[what]}',
                stacklevel=3,
            )
