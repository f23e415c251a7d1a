# The one compiled module: reading FTS5's leaf pages, and ranking. What it answers for stands in `_ranking.pyi`.

cimport cython
from libc.math cimport log
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

import numpy as np

# As macros: a variable would be read anew for every posting.
cdef extern from *:
    """
    /* A token that is the last of its column; in `next`, the place of the token that does not follow. */
    #define PUMAS_LAST 0x80000000u
    /* More occurrences than one byte counts: it stands for 255 and more, and the tokens are counted. */
    #define PUMAS_MANY 255u
    /* Documents whose sums are formed at once. */
    #define PUMAS_BLOCK 8192
    #define PUMAS_CHUNKS (PUMAS_BLOCK / 64)
    /* Values that are kept of each length: the norm, and what 1 to 15 occurrences give. */
    #define PUMAS_FACTORS 16
    #define PUMAS_K1 1.2
    #define PUMAS_B 0.75

    #if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define PUMAS_WIDE __attribute__((target_clones("avx2", "default")))
    #else
    #define PUMAS_WIDE
    #endif

    /* How many sums are above zero, and of every 64 whether any is above `least`. It only compares, so the wider
       instructions that it may use give the same. */
    PUMAS_WIDE
    static size_t pumas_count_sums(const double* sums, size_t chunks, double least, unsigned char* above) {
        size_t chunk, i, total = 0;
        for (chunk = 0; chunk < chunks; chunk++) {
            long long positive = 0, better = 0;
            for (i = 0; i < 64; i++) {
                positive += sums[chunk * 64 + i] > 0.0;
                better += sums[chunk * 64 + i] > least;
            }
            total += (size_t)positive;
            above[chunk] = better != 0;
        }
        return total;
    }
    """
    size_t pumas_count_sums(const double* sums, size_t chunks, double least, unsigned char* above) noexcept nogil
    const uint32_t LAST "PUMAS_LAST"
    const uint32_t MANY "PUMAS_MANY"
    const int BLOCK "PUMAS_BLOCK"
    enum: CHUNKS "PUMAS_CHUNKS"
    const int FACTORS "PUMAS_FACTORS"
    const double K1 "PUMAS_K1"
    const double B "PUMAS_B"

include "_reading.pxi"
include "_champions.pxi"


cdef enum Source:
    NOTHING
    POSTS
    UNIONS
    SCRATCH


cdef struct _Phrase:
    uint32_t low, high       # the range of terms of the last token
    Py_ssize_t first_word    # where the terms before it begin in `words`
    int words                # how many there are
    int source
    Py_ssize_t start, stop   # of the list of documents
    Py_ssize_t heavy         # the row of the range in the tables of heavy ones; -1
    Py_ssize_t count         # documents


@cython.final
cdef class _Scratch:
    """What a call needs beside its lists; all zero between two calls."""

    cdef double[::1] sums
    cdef uint8_t[::1] counts

    def __init__(self, Py_ssize_t documents):
        self.sums = np.zeros(BLOCK, np.float64)
        # Eight at a time are looked at.
        self.counts = np.zeros((documents + 7) // 8 * 8, np.uint8)


@cython.final
cdef class _Heap:
    """The best so far, the worst of them on top."""

    cdef double[::1] scores
    cdef uint32_t[::1] documents
    cdef Py_ssize_t size, room

    def __init__(self, Py_ssize_t room):
        self.room = room
        self.scores = np.empty(max(room, 1), np.float64)
        self.documents = np.empty(max(room, 1), np.uint32)

    cdef void offer(self, double score, uint32_t document) noexcept nogil:
        cdef Py_ssize_t i
        if self.size < self.room:
            i = self.size
            self.size += 1
            self._rise(i, score, document)
        elif self.room and _is_worse(self.scores[0], self.documents[0], score, document):
            self._sink(0, self.size, score, document)

    cdef void _rise(self, Py_ssize_t i, double score, uint32_t document) noexcept nogil:
        cdef Py_ssize_t parent
        while i:
            parent = (i - 1) // 2
            if not _is_worse(score, document, self.scores[parent], self.documents[parent]):
                break
            self.scores[i] = self.scores[parent]
            self.documents[i] = self.documents[parent]
            i = parent
        self.scores[i] = score
        self.documents[i] = document

    cdef void _sink(self, Py_ssize_t i, Py_ssize_t size, double score, uint32_t document) noexcept nogil:
        cdef Py_ssize_t child
        while True:
            child = 2 * i + 1
            if child >= size:
                break
            if child + 1 < size and _is_worse(
                self.scores[child + 1], self.documents[child + 1], self.scores[child], self.documents[child]
            ):
                child += 1
            if not _is_worse(self.scores[child], self.documents[child], score, document):
                break
            self.scores[i] = self.scores[child]
            self.documents[i] = self.documents[child]
            i = child
        self.scores[i] = score
        self.documents[i] = document

    cdef void sort(self) noexcept nogil:
        """Best first; it is a heap no longer."""
        cdef Py_ssize_t end = self.size - 1
        cdef double score
        cdef uint32_t document
        while end > 0:
            score = self.scores[end]
            document = self.documents[end]
            self.scores[end] = self.scores[0]
            self.documents[end] = self.documents[0]
            self._sink(0, end, score, document)
            end -= 1


cdef inline bint _is_worse(double a_score, uint32_t a, double b_score, uint32_t b) noexcept nogil:
    return a_score < b_score or (a_score == b_score and a > b)


@cython.final
cdef class _Filter:
    """Which documents may be answered."""

    cdef const uint8_t[::1] types     # by code of type
    cdef const uint8_t[::1] documents
    cdef bint has_types, has_documents

    def __init__(self, types, documents):
        self.has_types = types is not None
        self.has_documents = documents is not None
        if self.has_types:
            self.types = types
        if self.has_documents:
            self.documents = documents


@cython.final
cdef class Arrays:
    cdef readonly dict arrays
    cdef readonly Py_ssize_t documents, terms, champions
    cdef const uint8_t[::1] _term_bytes
    cdef const uint32_t[::1] _term_starts, _posts, _post_starts, _next, _next_starts, _tokens, _token_starts
    cdef const uint16_t[::1] _lengths, _types
    cdef const int64_t[::1] _rowids
    cdef const uint32_t[:, ::1] _heavy
    cdef const uint32_t[::1] _champions, _unions
    cdef double[::1] _factors
    cdef double _average
    cdef Py_ssize_t _longest
    cdef list _pool

    def __init__(self, dict arrays not None, Py_ssize_t champions):
        self.arrays = arrays
        self.champions = champions
        self._term_bytes = arrays["term_bytes"]
        self._term_starts = arrays["term_starts"]
        self._posts = arrays["posts"]
        self._post_starts = arrays["post_starts"]
        self._next = arrays["next"]
        self._next_starts = arrays["next_starts"]
        self._tokens = arrays["tokens"]
        self._token_starts = arrays["token_starts"]
        self._lengths = arrays["lengths"]
        self._types = arrays["types"]
        self._rowids = arrays["rowids"]
        self._heavy = arrays["heavy"]
        self._champions = arrays["champions"]
        self._unions = arrays["unions"]
        self.documents = self._rowids.shape[0]
        self.terms = self._term_starts.shape[0] - 1
        self._longest = int(arrays["lengths"].max()) if self.documents else 0
        self._average = -1.0
        self._pool = []

    def match(self, list phrases not None):
        cdef Matches found = Matches(self, phrases)
        cdef _Scratch scratch
        # One heavy range may be answered by its champions, without its list.
        if found.phrases != 1 or found._phrases[0].heavy < 0:
            scratch = self._scratch()
            with nogil:
                found._collect(self, scratch)
            self._pool.append(scratch)
        return found

    cdef _Scratch _scratch(self):
        # A list's `pop` is atomic: two threads never get the same one.
        return self._pool.pop() if self._pool else _Scratch(self.documents)

    cdef double[::1] _factors_of(self, double average):
        """Of each length D the norm 1.2 * (0.25 + 0.75 * D / A), then what 1 to 15 occurrences give."""
        cdef double[::1] factors
        cdef Py_ssize_t length, frequency
        cdef double norm
        if self._average == average:
            return self._factors
        factors = np.empty((self._longest + 1) * FACTORS, np.float64)
        for length in range(self._longest + 1):
            norm = K1 * (1 - B + B * <double>length / average)
            factors[length * FACTORS] = norm
            for frequency in range(1, FACTORS):
                factors[length * FACTORS + frequency] = _factor(<double>frequency, norm)
        self._factors = factors
        self._average = average
        return factors

    cdef Py_ssize_t _bisect(self, const uint8_t* text, size_t size, bint is_end) noexcept nogil:
        """The first term that is not less than `text`; with `is_end`, the first one after those that begin with it."""
        cdef Py_ssize_t low = 0, high = self.terms, middle
        cdef size_t begin, length
        cdef int order
        while low < high:
            middle = (low + high) // 2
            begin = self._term_starts[middle]
            length = self._term_starts[middle + 1] - begin
            order = memcmp(&self._term_bytes[0] + begin, text, min(length, size))
            if order < 0 or (order == 0 and (is_end or length < size)):
                low = middle + 1
            else:
                high = middle
        return low

    cdef bint _has_exactly(self, Py_ssize_t term, const uint8_t* text, size_t size) noexcept nogil:
        cdef size_t begin
        if term >= self.terms:
            return False
        begin = self._term_starts[term]
        if self._term_starts[term + 1] - begin != size:
            return False
        return memcmp(&self._term_bytes[0] + begin, text, size) == 0

    cdef Py_ssize_t _heavy_row(self, uint32_t low, uint32_t high) noexcept nogil:
        """The row of a range in the table of heavy ones, which is sorted; -1."""
        cdef Py_ssize_t first = 0, last = self._heavy.shape[0], middle
        while first < last:
            middle = (first + last) // 2
            if self._heavy[middle, LOW] < low or (
                self._heavy[middle, LOW] == low and self._heavy[middle, HIGH] < high
            ):
                first = middle + 1
            else:
                last = middle
        if first == self._heavy.shape[0] or self._heavy[first, LOW] != low or self._heavy[first, HIGH] != high:
            return -1
        return first

    cdef uint32_t _occurrences(
        self, uint32_t document, const uint32_t* words, int count, uint32_t low, uint32_t high
    ) noexcept nogil:
        """How often a phrase stands in a document, by its tokens."""
        cdef uint32_t i, found = 0, token
        cdef uint32_t stop = self._token_starts[document + 1]
        cdef int word
        if count == 0:
            for i in range(self._token_starts[document], stop):
                token = self._tokens[i] & ~LAST
                found += low <= token < high
            return found
        for i in range(self._token_starts[document], stop):
            if i + count >= stop:
                break
            for word in range(count):
                if self._tokens[i + word] != words[word]:
                    break
            else:
                token = self._tokens[i + count] & ~LAST
                found += low <= token < high
        return found


include "_matching.pxi"
include "_checking.pxi"
