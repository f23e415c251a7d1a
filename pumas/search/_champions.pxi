# What is made ahead for heavy ranges of terms: the best documents of each, and the merged list of those of several.

cdef enum:
    LOW
    HIGH
    COUNT
    CHAMPIONS
    CHAMPIONS_STOP
    UNION
    UNION_STOP
    COLUMNS

HEAVY_COLUMNS = COLUMNS


cdef class Heavy:
    cdef const uint8_t[::1] _term_bytes
    cdef const uint32_t[::1] _term_starts, _posts, _post_starts
    cdef const uint16_t[::1] _lengths
    cdef _Buffer _rows, _champions, _unions
    cdef uint8_t[::1] _sums
    cdef uint32_t[::1] _list
    cdef uint64_t[:, ::1] _best  # by frequency: length and document of the shortest, a heap with the longest on top
    cdef Py_ssize_t[::1] _best_sizes
    cdef uint64_t[::1] _above, _merged  # lengths of those kept of higher frequencies, the shortest first
    cdef Py_ssize_t _documents, _heavy_from, _union_from, _kept

    def __init__(self, dict arrays not None, Py_ssize_t heavy_from, Py_ssize_t union_from, Py_ssize_t kept):
        self._term_bytes = arrays["term_bytes"]
        self._term_starts = arrays["term_starts"]
        self._posts = arrays["posts"]
        self._post_starts = arrays["post_starts"]
        self._lengths = arrays["lengths"]
        self._documents = self._lengths.shape[0]
        self._heavy_from = heavy_from
        self._union_from = union_from
        self._kept = kept
        self._rows, self._champions, self._unions = _Buffer(), _Buffer(), _Buffer()
        self._sums = np.zeros((self._documents + 7) // 8 * 8, np.uint8)
        self._list = np.empty(max(self._documents, 1), np.uint32)
        self._best = np.empty((256, kept), np.uint64)
        self._best_sizes = np.zeros(256, np.intp)
        self._above = np.empty(kept, np.uint64)
        self._merged = np.empty(kept, np.uint64)

    def run(self):
        with nogil:
            self._walk(0, <uint32_t>(self._term_starts.shape[0] - 1), 0)
        rows = _array(self._rows, np.uint32).reshape(-1, COLUMNS)
        return {
            "heavy": rows[np.lexsort((rows[:, 1], rows[:, 0]))],
            "champions": _array(self._champions, np.uint32),
            "unions": _array(self._unions, np.uint32),
        }

    cdef int _walk(self, uint32_t low, uint32_t high, uint32_t depth) except -1 nogil:
        """Every range that a prefix of more than `depth` bytes gives, by its first term, then its last."""
        cdef uint32_t start = low, end, shared
        while start < high:
            if self._term_starts[start + 1] - self._term_starts[start] <= depth:
                start += 1  # the prefix itself, a term of its own
                continue
            end = start + 1
            while end < high and self._byte(end, depth) == self._byte(start, depth):
                end += 1
            if <Py_ssize_t>(self._post_starts[end] - self._post_starts[start]) >= self._heavy_from:
                # Longer prefixes often give the same range.
                shared = self._shared(start, end - 1, depth + 1)
                if end - start > 1:
                    self._walk(start, end, shared)
                self._add(start, end)
            start = end
        return 0

    cdef inline int _byte(self, uint32_t term, uint32_t depth) noexcept nogil:
        return self._term_bytes[self._term_starts[term] + depth]

    cdef uint32_t _shared(self, uint32_t first, uint32_t last, uint32_t depth) noexcept nogil:
        """How many bytes two terms have in common; those between them share as many."""
        cdef uint32_t most = min(
            self._term_starts[first + 1] - self._term_starts[first], self._term_starts[last + 1] - self._term_starts[last]
        )
        while depth < most and self._byte(first, depth) == self._byte(last, depth):
            depth += 1
        return depth

    cdef int _add(self, uint32_t low, uint32_t high) except -1 nogil:
        cdef Py_ssize_t start = self._post_starts[low], stop = self._post_starts[high]
        cdef Py_ssize_t count = stop - start
        cdef uint32_t champion = <uint32_t>(self._champions.used // 4), first = <uint32_t>(self._unions.used // 4)
        if high - low == 1:
            self._choose(self._posts, start, stop)
        else:
            count = _merge_counted(self._posts, start, stop, self._list, 0, self._sums)
            self._choose(self._list, 0, count)
            if stop - start >= self._union_from:
                self._unions.add(&self._list[0], count * sizeof(uint32_t))
        self._rows.add32(low)
        self._rows.add32(high)
        self._rows.add32(<uint32_t>count)
        self._rows.add32(champion)
        self._rows.add32(<uint32_t>(self._champions.used // 4))
        self._rows.add32(first)
        self._rows.add32(<uint32_t>(self._unions.used // 4))
        if self._unions.used >> 33:
            with gil:
                raise ValueError("there are too many postings")
        return 0

    cdef int _choose(self, const uint32_t[::1] posts, Py_ssize_t start, Py_ssize_t stop) except -1 nogil:
        """Keep the documents that fewer than `kept` others beat in both frequency and length."""
        cdef Py_ssize_t i, frequency
        cdef uint64_t key
        for i in range(256):
            self._best_sizes[i] = 0
        for i in range(start, stop):
            frequency = posts[i] & MANY
            if frequency == MANY:
                return 0  # how many is not known here: the list is scanned instead
            key = <uint64_t>self._lengths[posts[i] >> 8] << 32 | posts[i] >> 8
            if self._best_sizes[frequency] < self._kept or key < self._best[frequency, 0]:
                self._keep(frequency, key)
        return self._emit()

    cdef void _keep(self, Py_ssize_t frequency, uint64_t key) noexcept nogil:
        cdef Py_ssize_t i, size = self._best_sizes[frequency]
        if size < self._kept:
            i = size
            self._best_sizes[frequency] = size + 1
            while i and self._best[frequency, (i - 1) // 2] < key:
                self._best[frequency, i] = self._best[frequency, (i - 1) // 2]
                i = (i - 1) // 2
            self._best[frequency, i] = key
            return
        self._sink(frequency, 0, size, key)

    cdef void _sink(self, Py_ssize_t frequency, Py_ssize_t i, Py_ssize_t size, uint64_t key) noexcept nogil:
        cdef Py_ssize_t child
        while True:
            child = 2 * i + 1
            if child >= size:
                break
            if child + 1 < size and self._best[frequency, child + 1] > self._best[frequency, child]:
                child += 1
            if self._best[frequency, child] <= key:
                break
            self._best[frequency, i] = self._best[frequency, child]
            i = child
        self._best[frequency, i] = key

    cdef int _emit(self) except -1 nogil:
        """The kept of each frequency, the highest first, without those that are beaten often enough."""
        cdef Py_ssize_t frequency, i, end, size, above, total = 0
        cdef uint64_t key
        for frequency in range(254, 0, -1):
            size = self._best_sizes[frequency]
            end = size - 1
            while end > 0:
                key = self._best[frequency, end]
                self._best[frequency, end] = self._best[frequency, 0]
                self._sink(frequency, 0, end, key)
                end -= 1
            above = 0
            for i in range(size):
                key = self._best[frequency, i]
                while above < total and self._above[above] <= key >> 32:
                    above += 1
                if i + above >= self._kept:
                    size = i
                    break
                self._champions.add32(<uint32_t>(key & 0xFFFFFFFFu) << 8 | <uint32_t>frequency)
            total = self._join(frequency, size, total)
        return 0

    cdef Py_ssize_t _join(self, Py_ssize_t frequency, Py_ssize_t size, Py_ssize_t total) noexcept nogil:
        """Merge the lengths of one frequency into `_above`; more than `kept` of them tell no more."""
        cdef Py_ssize_t i = 0, k = 0, joined = 0
        while joined < self._kept and (i < size or k < total):
            if k >= total or (i < size and self._best[frequency, i] >> 32 < self._above[k]):
                self._merged[joined] = self._best[frequency, i] >> 32
                i += 1
            else:
                self._merged[joined] = self._above[k]
                k += 1
            joined += 1
        for i in range(joined):
            self._above[i] = self._merged[i]
        return joined
