# Finding the documents of each phrase of a query, and ranking them.


cdef class Matches:
    cdef Arrays _arrays
    cdef _Phrase* _phrases
    cdef readonly Py_ssize_t phrases
    cdef uint32_t[::1] _words
    cdef uint32_t[::1] _lists
    cdef Py_ssize_t _room
    cdef bint _is_collected

    def __cinit__(self, Arrays arrays not None, list phrases not None):
        cdef Py_ssize_t i, room = 0, word = 0
        cdef list phrase
        cdef bytes text
        cdef _Phrase* one
        self._arrays = arrays
        self.phrases = len(phrases)
        self._phrases = <_Phrase*>calloc(max(self.phrases, 1), sizeof(_Phrase))
        if self._phrases == NULL:
            raise MemoryError
        self._words = np.empty(max(1, sum(map(len, phrases))), np.uint32)
        for i in range(self.phrases):
            phrase = phrases[i]
            one = &self._phrases[i]
            one.first_word = word
            one.heavy = -1
            if not self._look_up(one, phrase):
                one.source = NOTHING
                one.count = 0
                continue
            word += one.words
            self._plan(one)
            if one.source == SCRATCH:
                room += one.stop
        self._room = room
        # Twice: sorting goes to and fro.
        self._lists = np.empty(max(2 * room, 1), np.uint32)

    def __dealloc__(self):
        free(self._phrases)

    @property
    def counts(self):
        return [self._phrases[i].count for i in range(self.phrases)]

    cdef bint _look_up(self, _Phrase* one, list phrase) except -1:
        cdef Arrays a = self._arrays
        cdef Py_ssize_t term, last = len(phrase) - 1
        cdef bytes text
        if last < 0:
            raise ValueError("a phrase has no token")
        if not a.terms:
            return False
        for i in range(last):
            text = phrase[i]
            term = a._bisect(<const uint8_t*><char*>text, len(text), False)
            if not a._has_exactly(term, <const uint8_t*><char*>text, len(text)):
                return False
            self._words[one.first_word + one.words] = <uint32_t>term
            one.words += 1
        text = phrase[last]
        one.low = <uint32_t>a._bisect(<const uint8_t*><char*>text, len(text), False)
        one.high = <uint32_t>a._bisect(<const uint8_t*><char*>text, len(text), True)
        return one.low < one.high

    cdef int _plan(self, _Phrase* one) except -1:
        """Where the list of a phrase is, or how much room it needs."""
        cdef Arrays a = self._arrays
        cdef uint32_t first
        if one.words:
            first = self._words[one.first_word]
            one.source = SCRATCH
            one.stop = a._post_starts[first + 1] - a._post_starts[first]
            return 0
        one.start = a._post_starts[one.low]
        one.stop = a._post_starts[one.high]
        one.heavy = a._heavy_row(one.low, one.high)
        if one.heavy >= 0:
            one.count = a._heavy[one.heavy, COUNT]
        if one.high - one.low == 1:
            one.source = POSTS
            one.count = one.stop - one.start
        elif one.heavy >= 0 and a._heavy[one.heavy, UNION] < a._heavy[one.heavy, UNION_STOP]:
            one.source = UNIONS
            one.start = a._heavy[one.heavy, UNION]
            one.stop = a._heavy[one.heavy, UNION_STOP]
        else:
            one.source = SCRATCH
            one.stop -= one.start
            one.start = 0
        return 0

    cdef void _collect(self, Arrays a, _Scratch scratch) noexcept nogil:
        """Make the lists that lie nowhere ready."""
        cdef Py_ssize_t i, at = 0
        cdef _Phrase* one
        for i in range(self.phrases):
            one = &self._phrases[i]
            if one.source != SCRATCH:
                continue
            one.start = at
            if one.words:
                one.stop = self._phrase_list(a, one, at)
            else:
                one.stop = self._union_list(a, one, at, scratch)
            one.count = one.stop - one.start
            at = one.stop
        self._is_collected = True

    cdef Py_ssize_t _union_list(self, Arrays a, _Phrase* one, Py_ssize_t at, _Scratch scratch) noexcept nogil:
        cdef Py_ssize_t start = a._post_starts[one.low], stop = a._post_starts[one.high]
        if stop - start < 64 + a.documents // 256:
            return _merge_sorted(a._posts, start, stop, self._lists, at, self._room)
        return _merge_counted(a._posts, start, stop, self._lists, at, scratch.counts)

    cdef Py_ssize_t _phrase_list(self, Arrays a, _Phrase* one, Py_ssize_t at) noexcept nogil:
        """Documents that hold the words one after the other, with the number of times."""
        cdef uint32_t low, high
        cdef int word
        cdef Py_ssize_t stop = at
        for word in range(one.words):
            if word + 1 < one.words:
                low = self._words[one.first_word + word + 1]
                high = low + 1
            else:
                low, high = one.low, one.high
            if word == 0:
                stop = self._pairs(a, self._words[one.first_word], low, high, at)
            else:
                stop = self._longer(a, one, word, low, high, at, stop)
        return stop

    cdef Py_ssize_t _pairs(self, Arrays a, uint32_t term, uint32_t low, uint32_t high, Py_ssize_t at) noexcept nogil:
        """Documents in which a token of the range stands right after `term`: one sequential scan."""
        cdef Py_ssize_t i, k, occurrence = a._next_starts[term]
        cdef uint32_t post, count, found
        for i in range(a._post_starts[term], a._post_starts[term + 1]):
            post = a._posts[i]
            count = self._all_of(a, post, term)
            found = 0
            for k in range(occurrence, occurrence + count):
                found += low <= a._next[k] < high
            occurrence += count
            if found:
                self._lists[at] = (post & ~MANY) | min(found, MANY)
                at += 1
        return at

    cdef inline uint32_t _all_of(self, Arrays a, uint32_t post, uint32_t term) noexcept nogil:
        cdef uint32_t count = post & MANY
        return count if count < MANY else a._occurrences(post >> 8, NULL, 0, term, term + 1)

    cdef Py_ssize_t _longer(
        self, Arrays a, const _Phrase* one, int word, uint32_t low, uint32_t high, Py_ssize_t at, Py_ssize_t stop
    ) noexcept nogil:
        """Of the documents that may hold the phrase up to `word`, those in which a token of the range follows.

        Where each occurrence of `word` ends the phrase, or each is followed by the range, the number follows from
        counting pairs, which lie in sequence. Only else the tokens of the document are compared, once, with the last
        word: until then such a document is kept as one of many.
        """
        cdef const uint32_t* words = &self._words[one.first_word]
        cdef uint32_t term = words[word]
        cdef Py_ssize_t i, k, kept = at, posting = a._post_starts[term], occurrence = a._next_starts[term]
        cdef Py_ssize_t end = a._post_starts[term + 1]
        cdef uint32_t document, before, count, pairs, found
        for i in range(at, stop):
            document = self._lists[i] >> 8
            before = self._lists[i] & MANY
            while posting < end and a._posts[posting] >> 8 < document:
                occurrence += self._all_of(a, a._posts[posting], term)
                posting += 1
            # `find_fault` does not compare `next` with the postings: a file may say that a term follows where it isn't.
            if posting == end or a._posts[posting] >> 8 != document:
                continue
            count = self._all_of(a, a._posts[posting], term)
            pairs = 0
            for k in range(occurrence, occurrence + count):
                pairs += low <= a._next[k] < high
            if not pairs:
                continue
            if before == count and before < MANY:
                found = pairs
            elif pairs == count and before < MANY:
                found = before
            elif word + 1 < one.words:
                found = MANY
            else:
                found = a._occurrences(document, words, one.words, low, high)
            if found:
                self._lists[kept] = (document << 8) | min(found, MANY)
                kept += 1
        return kept

    cdef inline uint32_t _frequency(self, Arrays a, const _Phrase* one, uint32_t post) noexcept nogil:
        cdef uint32_t count = post & MANY
        if count < MANY:
            return count
        return a._occurrences(post >> 8, &self._words[0] + one.first_word, one.words, one.low, one.high)

    cdef inline double _score(
        self, Arrays a, const _Phrase* one, uint32_t post, double weight, const double[::1] factors
    ) noexcept nogil:
        """What one phrase gives to a document."""
        cdef Py_ssize_t at = <Py_ssize_t>a._lengths[post >> 8] * FACTORS
        if post & MANY < FACTORS:
            # PERF: most are; without the division a query of several words takes a tenth less.
            return weight * factors[at + (post & MANY)]
        return weight * _factor(<double>self._frequency(a, one, post), factors[at])

    def count_among(self, const uint32_t[::1] documents not None):
        cdef Py_ssize_t i, p
        cdef const _Phrase* one
        cdef Py_ssize_t[::1] counts = np.zeros(max(self.phrases, 1), np.intp)
        for i in range(documents.shape[0]):
            if documents[i] >= self._arrays.documents:
                raise ValueError("a document is out of range")
        with nogil:
            for i in range(documents.shape[0]):
                for p in range(self.phrases):
                    one = &self._phrases[p]
                    counts[p] += one.source != NOTHING and self._arrays._occurrences(
                        documents[i], &self._words[0] + one.first_word, one.words, one.low, one.high
                    ) > 0
        return [counts[p] for p in range(self.phrases)]

    def rank(self, list counts not None, int64_t rows, int64_t tokens, Py_ssize_t limit, *, types=None, documents=None, Py_ssize_t kept=-1):
        cdef Arrays a = self._arrays
        cdef _Filter chosen = _Filter(types, documents)
        cdef double[::1] factors
        cdef double[::1] weights = np.empty(max(self.phrases, 1), np.float64)
        cdef Py_ssize_t[::1] cursors = np.empty(max(self.phrases, 1), np.intp)
        cdef _Scratch scratch
        cdef Py_ssize_t i, total = -1, most = 0
        cdef _Heap heap
        if len(counts) != self.phrases or rows < 1 or tokens < 1 or limit < 0:
            raise ValueError("a number is out of range")
        if chosen.has_types and chosen.types.shape[0] <= int(a.arrays["types"].max(initial=0)):
            raise ValueError("a type has no place in the filter")
        if chosen.has_documents and chosen.documents.shape[0] != a.documents:
            raise ValueError("the filter is of other documents")
        factors = a._factors_of(<double>tokens / <double>rows)
        for i in range(self.phrases):
            weights[i] = _weight(rows, counts[i])
            most += self._phrases[i].count
        heap = _Heap(min(limit, most, a.documents))
        if self.phrases == 1 and not chosen.has_types:
            total = self._rank_champions(a, heap, weights[0], factors, chosen, kept)
        if total < 0:
            scratch = a._scratch()
            with nogil:
                if not self._is_collected:
                    self._collect(a, scratch)
                total = self._rank(a, heap, weights, factors, cursors, chosen, scratch)
            a._pool.append(scratch)
        heap.sort()
        return (
            [a._rowids[heap.documents[i]] for i in range(heap.size)],
            [-heap.scores[i] for i in range(heap.size)],
            total,
        )

    cdef Py_ssize_t _rank_champions(
        self, Arrays a, _Heap heap, double weight, const double[::1] factors, _Filter chosen, Py_ssize_t kept
    ) noexcept nogil:
        """The hits of one word from its champions; -1 where they may not hold the whole page.

        The score rises with the frequency and falls with the length, and a document that is none is beaten by
        `CHAMPIONS` others in both.
        """
        cdef const _Phrase* one = &self._phrases[0]
        cdef Py_ssize_t i, left_out = 0
        cdef uint32_t document
        if one.heavy < 0 or a._heavy[one.heavy, CHAMPIONS] == a._heavy[one.heavy, CHAMPIONS_STOP]:
            return -1
        if heap.room > a.champions or (chosen.has_documents and kept < 0):
            return -1
        for i in range(a._heavy[one.heavy, CHAMPIONS], a._heavy[one.heavy, CHAMPIONS_STOP]):
            document = a._champions[i] >> 8
            if chosen.has_documents and not chosen.documents[document]:
                left_out += 1
                continue
            heap.offer(self._score(a, one, a._champions[i], weight, factors), document)
        if heap.room + left_out > a.champions:
            heap.size = 0
            return -1
        return kept if chosen.has_documents else one.count

    cdef Py_ssize_t _rank(
        self, Arrays a, _Heap heap, const double[::1] weights, const double[::1] factors, Py_ssize_t[::1] cursors,
        _Filter chosen, _Scratch scratch
    ) noexcept nogil:
        cdef Py_ssize_t i, only = -1, several = 0
        for i in range(self.phrases):
            if self._phrases[i].count:
                only = i
                several += 1
        if several == 0:
            return 0
        if several == 1:
            return self._rank_one(a, &self._phrases[only], heap, weights[only], factors, chosen)
        return self._rank_several(a, heap, weights, factors, cursors, chosen, scratch)

    cdef Py_ssize_t _rank_one(
        self, Arrays a, const _Phrase* one, _Heap heap, double weight, const double[::1] factors, _Filter chosen
    ) noexcept nogil:
        if one.source == POSTS:
            return self._scan(a, a._posts, one, heap, weight, factors, chosen)
        if one.source == UNIONS:
            return self._scan(a, a._unions, one, heap, weight, factors, chosen)
        return self._scan(a, self._lists, one, heap, weight, factors, chosen)

    cdef Py_ssize_t _scan(
        self, Arrays a, const uint32_t[::1] posts, const _Phrase* one, _Heap heap, double weight, const double[::1] factors,
        _Filter chosen
    ) noexcept nogil:
        cdef Py_ssize_t i, total = 0
        cdef double score, least = -1.0
        cdef uint32_t document
        cdef bint is_filtered = chosen.has_types or chosen.has_documents
        for i in range(one.start, one.stop):
            document = posts[i] >> 8
            score = self._score(a, one, posts[i], weight, factors)
            if is_filtered:
                if not self._is_chosen(a, document, chosen):
                    continue
                total += 1
            # Documents ascend: a later one with the same score loses.
            if score > least:
                heap.offer(score, document)
                if heap.size == heap.room:
                    least = heap.scores[0]
        return total if is_filtered else one.stop - one.start

    cdef inline bint _is_chosen(self, Arrays a, uint32_t document, _Filter chosen) noexcept nogil:
        if chosen.has_types and not chosen.types[a._types[document]]:
            return False
        return not chosen.has_documents or chosen.documents[document]

    cdef Py_ssize_t _rank_several(
        self, Arrays a, _Heap heap, const double[::1] weights, const double[::1] factors, Py_ssize_t[::1] cursors,
        _Filter chosen, _Scratch scratch
    ) noexcept nogil:
        cdef Py_ssize_t i, total = 0, touched
        cdef uint32_t first = 0
        cdef uint64_t limit
        for i in range(self.phrases):
            cursors[i] = self._phrases[i].start
        while first < a.documents:
            limit = min(<uint64_t>first + BLOCK, <uint64_t>a.documents)
            touched = 0
            for i in range(self.phrases):
                if self._phrases[i].source == POSTS:
                    touched += self._add(a, a._posts, i, weights[i], factors, cursors, first, limit << 8, scratch.sums)
                elif self._phrases[i].source == UNIONS:
                    touched += self._add(a, a._unions, i, weights[i], factors, cursors, first, limit << 8, scratch.sums)
                elif self._phrases[i].source == SCRATCH:
                    touched += self._add(a, self._lists, i, weights[i], factors, cursors, first, limit << 8, scratch.sums)
            if touched:
                total += self._sweep(a, heap, chosen, scratch.sums, first, <Py_ssize_t>(limit - first))
            first = <uint32_t>limit
        return total

    cdef Py_ssize_t _add(
        self, Arrays a, const uint32_t[::1] posts, Py_ssize_t number, double weight, const double[::1] factors,
        Py_ssize_t[::1] cursors, uint32_t first, uint64_t limit, double[::1] sums
    ) noexcept nogil:
        """Add what one phrase gives to the documents of one block."""
        cdef const _Phrase* one = &self._phrases[number]
        cdef Py_ssize_t i = cursors[number], begin = i, stop = one.stop
        while i < stop and posts[i] < limit:
            sums[(posts[i] >> 8) - first] += self._score(a, one, posts[i], weight, factors)
            i += 1
        cursors[number] = i
        return i - begin

    cdef Py_ssize_t _sweep(
        self, Arrays a, _Heap heap, _Filter chosen, double[::1] sums, uint32_t first, Py_ssize_t size
    ) noexcept nogil:
        """Offer the sums of a block and leave zeros."""
        cdef Py_ssize_t i, chunk, chunks = (size + 63) // 64, total
        cdef unsigned char[CHUNKS] above
        cdef double least = heap.scores[0] if heap.size == heap.room else 0.0
        if heap.room == 0:
            least = 1e300
        # PERF: flags are 0 or 1; a branch for each takes 4 ms of a million models, this 0.2. After one change every search
        # is filtered.
        if chosen.has_types:
            for i in range(size):
                sums[i] *= <double>chosen.types[a._types[first + i]]
        if chosen.has_documents:
            for i in range(size):
                sums[i] *= <double>chosen.documents[first + i]
        # Behind `size` there are zeros.
        total = pumas_count_sums(&sums[0], chunks, least, &above[0])
        for chunk in range(chunks):
            if not above[chunk]:
                continue
            for i in range(chunk * 64, chunk * 64 + 64):
                if sums[i] > least:
                    heap.offer(sums[i], first + <uint32_t>i)
                    if heap.size == heap.room:
                        least = heap.scores[0]
        memset(&sums[0], 0, size * sizeof(double))
        return total


cdef inline double _factor(double frequency, double norm) noexcept nogil:
    return (frequency * (K1 + 1.0)) / (frequency + norm)


cdef double _weight(int64_t rows, int64_t count):
    """The inverse document frequency as FTS5 computes it."""
    cdef double weight = log((<double>(rows - count) + 0.5) / (<double>count + 0.5))
    return weight if weight > 0.0 else 1e-6


cdef Py_ssize_t _merge_sorted(
    const uint32_t[::1] posts, Py_ssize_t start, Py_ssize_t stop, uint32_t[::1] lists, Py_ssize_t at, Py_ssize_t room
) noexcept nogil:
    """The postings of several terms in order of documents, their numbers added; for few."""
    cdef Py_ssize_t i, k, count = stop - start
    cdef uint32_t post
    if count <= 48:
        for i in range(count):
            post = posts[start + i]
            k = at + i
            while k > at and lists[k - 1] > post:
                lists[k] = lists[k - 1]
                k -= 1
            lists[k] = post
    else:
        # Two passes over the 24 bits of the document; the second half of `lists` holds the first one's outcome.
        _sort_by(posts, start, count, 8, lists, room)
        _sort_by(lists, room, count, 20, lists, at)
    return _add_up(lists, at, at + count)


cdef void _sort_by(
    const uint32_t[::1] given, Py_ssize_t start, Py_ssize_t count, int shift, uint32_t[::1] out, Py_ssize_t at
) noexcept nogil:
    cdef uint32_t[4096] places
    cdef uint32_t place, total = 0, here
    cdef Py_ssize_t i
    memset(places, 0, sizeof(places))
    for i in range(start, start + count):
        places[(given[i] >> shift) & 4095] += 1
    for i in range(4096):
        here = places[i]
        places[i] = total
        total += here
    for i in range(start, start + count):
        place = (given[i] >> shift) & 4095
        out[at + places[place]] = given[i]
        places[place] += 1


cdef Py_ssize_t _add_up(uint32_t[::1] lists, Py_ssize_t at, Py_ssize_t stop) noexcept nogil:
    """One posting per document of a sorted list."""
    cdef Py_ssize_t i, kept = at
    for i in range(at + 1, stop):
        if lists[i] >> 8 == lists[kept] >> 8:
            lists[kept] = (lists[kept] & ~MANY) | min((lists[kept] & MANY) + (lists[i] & MANY), MANY)
        else:
            kept += 1
            lists[kept] = lists[i]
    return kept + 1


cdef Py_ssize_t _merge_counted(
    const uint32_t[::1] posts, Py_ssize_t start, Py_ssize_t stop, uint32_t[::1] lists, Py_ssize_t at,
    uint8_t[::1] counts
) noexcept nogil:
    """The same for many: a count per document, then those that have one."""
    cdef Py_ssize_t i, k
    cdef uint32_t sum
    cdef uint64_t* eight
    for i in range(start, stop):
        sum = counts[posts[i] >> 8] + (posts[i] & MANY)
        counts[posts[i] >> 8] = <uint8_t>min(sum, MANY)
    for i in range(0, counts.shape[0], 8):
        eight = <uint64_t*>&counts[i]
        if eight[0] == 0:
            continue
        for k in range(i, i + 8):
            if counts[k]:
                lists[at] = (<uint32_t>k << 8) | counts[k]
                at += 1
        eight[0] = 0
    return at
