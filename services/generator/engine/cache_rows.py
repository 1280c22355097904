"""What the KV cache holds, slot by slot, as the rows it was computed from. No torch.

The record makes every kind of reuse one rule: what a slot keeps is the longest common prefix of its
rows and the next prompt. A second turn, a truncated one, a barge-in and a rebuild all follow.
"""

import numpy as np

from services.generator.engine.turn import PromptRows


class CacheRecord:
    """Rows of each slot, [slots, max_positions, columns], and how many of them live.

    A prefill is cut into chunks of at most `chunk` positions. On a model that `cuts_freely`, keys
    and values are the same bits however they were computed. On another, chunks end on a fixed grid,
    and only those that were computed whole are shared between conversations: their shapes are those
    the other conversation would have had. So other turns never change a result.

    Shared is by whole chunks on any model: how many rows were found is told to the caller, who
    must not learn another's text a token at a time.
    """

    def __init__(
        self, slots: int, max_positions: int, columns: int, chunk: int, *, cuts_freely: bool
    ) -> None:
        self.slots, self.max_positions, self.chunk = slots, max_positions, chunk
        self._cuts_freely = cuts_freely
        self._rows = np.zeros((slots, max_positions, columns), np.int64)
        self._lengths = [0] * slots
        self._shareable = [0] * slots

    def length(self, slot: int) -> int:
        """Live positions of the slot."""
        return self._lengths[slot]

    def rows(self, slot: int) -> PromptRows:
        """The live rows of the slot, a view [length, columns]."""
        return self._rows[slot, : self._lengths[slot]]

    def common_prefix(self, slot: int, prompt: PromptRows) -> int:
        """How many leading rows of the prompt the slot already holds."""
        return self._prefix(slot, prompt, self._lengths[slot])

    def shareable_prefix(self, slot: int, prompt: PromptRows) -> int:
        """How many of them another slot may copy: whole chunks only."""
        common = self._prefix(slot, prompt, self._shareable[slot])
        return common - common % self.chunk

    def _prefix(self, slot: int, prompt: PromptRows, limit: int) -> int:
        limit = min(limit, len(prompt))
        same = (self._rows[slot, :limit] == prompt[:limit]).all(axis=1)
        return limit if same.all() else int(same.argmin())

    def chunk_end(self, start: int, prompt_length: int) -> int:
        """Where the prefill chunk that begins at `start` ends: on the grid, or with the prompt.

        It depends on nothing but the row itself, so that neighbours never change its shapes.
        """
        end = start + self.chunk
        return min(end if self._cuts_freely else end - end % self.chunk, prompt_length)

    def append(self, slot: int, rows: PromptRows, *, prefilled: bool) -> None:
        """Adds rows whose keys and values are now in the cache; they must fit."""
        start = self._lengths[slot]
        end = start + len(rows)
        if end > self.max_positions:
            raise ValueError(f"{end} positions in slot {slot}; it has {self.max_positions}")
        self._rows[slot, start:end] = rows
        self._lengths[slot] = end
        whole = prefilled and len(rows) == self.chunk and self._shareable[slot] == start
        if whole or self._cuts_freely:
            self._shareable[slot] = end

    def truncate(self, slot: int, length: int) -> None:
        """Forgets all positions from `length` on."""
        self._lengths[slot] = min(self._lengths[slot], length)
        whole = length if self._cuts_freely else length - length % self.chunk
        self._shareable[slot] = min(self._shareable[slot], whole)

    def copy(self, source: int, target: int, length: int) -> None:
        """The target holds exactly the first `length` rows of the source, which are shareable."""
        if length > self._shareable[source]:
            raise ValueError(
                f"{length} rows of slot {source}; {self._shareable[source]} are shared"
            )
        self._rows[target, :length] = self._rows[source, :length]
        self._lengths[target] = self._shareable[target] = length
