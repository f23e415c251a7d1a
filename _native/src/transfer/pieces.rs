//! Which bytes of a file are there, on their way, or still to be asked for.
//!
//! A range is pending or belongs to one flight; what is neither is there. Ranges are handed out in order, and a flight
//! that is split gives up its second half at the border of a block, so that no block is digested twice. The last
//! block of one that is far slower than others are is taken over as it is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::tree::BLOCK;

/// A smaller piece is not worth a request.
const MIN_PIECE: u64 = 2 * BLOCK;
/// A range that ends sooner is not worth another request, nor is one that has only just been asked for.
const MIN_LEFT: Duration = Duration::from_millis(100);
const MIN_SILENCE: Duration = Duration::from_secs(1);
/// A connection so many times slower than others is not waited for.
const SLOWNESS: f64 = 4.0;

/// Stands for a size that nobody told: the flight that reaches the end of the file tells it.
pub const UNKNOWN: u64 = u64::MAX;

/// A range that one connection fetches; it shrinks from the front as bytes come, from the back when it is split.
struct Flight {
    id: u64,
    start: u64,
    at: u64,
    end: u64,
    begun: Instant,
    /// It has been taken over, which happens once.
    is_second: bool,
}

impl Flight {
    #[allow(clippy::cast_precision_loss)] // an estimate
    fn rate(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.begun).as_secs_f64();
        (self.at - self.start) as f64 / elapsed.max(1e-3)
    }

    /// How long it will take by what it has brought so far.
    fn time_left(&self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.begun);
        match self.at - self.start {
            0 if elapsed < MIN_SILENCE => Duration::ZERO,
            0 => Duration::MAX,
            #[allow(clippy::cast_precision_loss)] // an estimate
            brought => Duration::try_from_secs_f64(
                elapsed.as_secs_f64() * (self.end - self.at) as f64 / brought as f64,
            )
            .unwrap_or(Duration::MAX),
        }
    }
}

/// The ranges of one file.
pub struct Pieces {
    size: u64,
    /// End by start; neither empty nor adjacent to each other.
    pending: BTreeMap<u64, u64>,
    flights: Vec<Flight>,
    next_id: u64,
    /// What one connection brings: bytes a second of the last range that came whole.
    typical: f64,
}

impl Pieces {
    /// A file of which nothing is there.
    pub fn new(size: u64) -> Self {
        Self::with_blocks(size, [])
    }

    /// A file of which some blocks are there; `blocks` are their numbers, ascending.
    pub fn with_blocks(size: u64, blocks: impl IntoIterator<Item = u64>) -> Self {
        let mut pieces =
            Self { size, pending: BTreeMap::new(), flights: Vec::new(), next_id: 0, typical: 0.0 };
        let mut missing = 0;
        for block in blocks {
            let start = block.saturating_mul(BLOCK).min(size);
            pieces.add_pending(missing..start);
            missing = start.saturating_add(BLOCK).min(size);
        }
        pieces.add_pending(missing..size);
        pieces
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hands out the beginning of the first pending range, if that lies before `limit`: `piece` bytes at most.
    pub fn take(&mut self, piece: u64, limit: u64) -> Option<(u64, Range<u64>)> {
        let (&start, &pending_end) = self.pending.first_key_value().filter(|(start, _)| **start < limit)?;
        let end = pending_end.min((start / BLOCK * BLOCK).saturating_add(piece));
        self.pending.remove(&start);
        self.add_pending(end..pending_end);
        Some(self.begin(start..end, false))
    }

    /// Bytes of a piece, so that several are left for each connection until the end: all then end at about the same
    /// time, and the digests are not far behind.
    pub fn piece(&self, most: u64, connections: usize) -> u64 {
        let pending = self.pending.first_key_value().map_or(0, |(start, _)| self.size - start);
        (pending / (2 * connections as u64)).next_multiple_of(BLOCK).max(MIN_PIECE).min(most)
    }

    /// Hands out everything from the first pending byte on, for an answer that can't be had in parts.
    pub fn take_rest(&mut self) -> Option<(u64, Range<u64>)> {
        self.take(UNKNOWN, UNKNOWN)
    }

    /// Hands out a part of what is on its way already: the second half of the flight that will take longest, or all
    /// that is left of one that is far too slow.
    pub fn steal(&mut self, now: Instant) -> Option<(u64, Range<u64>)> {
        if self.size == UNKNOWN {
            return None;
        }
        self.split(now).or_else(|| self.take_over(now))
    }

    fn split(&mut self, now: Instant) -> Option<(u64, Range<u64>)> {
        let has_two = |flight: &&mut Flight| flight.end - flight.at >= 2 * BLOCK;
        let flights = self.flights.iter_mut().filter(has_two);
        let longest = flights.max_by_key(|flight| (flight.time_left(now), flight.end - flight.at))?;
        if longest.time_left(now) < MIN_LEFT {
            return None;
        }
        let middle = (longest.at + (longest.end - longest.at) / 2).next_multiple_of(BLOCK);
        let stolen = middle..longest.end;
        longest.end = middle;
        Some(self.begin(stolen, false))
    }

    fn take_over(&mut self, now: Instant) -> Option<(u64, Range<u64>)> {
        let typical = self.typical;
        let is_slow = |flight: &&mut Flight| {
            let is_late = flight.time_left(now) > MIN_SILENCE;
            is_late && !flight.is_second && flight.at < flight.end && flight.rate(now) * SLOWNESS < typical
        };
        let slow = self.flights.iter_mut().find(is_slow)?;
        let left = slow.at..slow.end;
        slow.end = slow.at;
        Some(self.begin(left, true))
    }

    /// Notes that a flight's bytes are there up to `at`; returns where it ends now, None if there is no such flight.
    pub fn advance(&mut self, id: u64, at: u64) -> Option<u64> {
        let flight = self.flights.iter_mut().find(|flight| flight.id == id)?;
        flight.at = at.clamp(flight.at, flight.end);
        Some(flight.end)
    }

    /// Ends a flight; what it did not bring is pending again.
    pub fn land(&mut self, id: u64) {
        if let Some(place) = self.flights.iter().position(|flight| flight.id == id) {
            let flight = self.flights.swap_remove(place);
            if flight.at == flight.end && flight.at > flight.start {
                self.typical = flight.rate(Instant::now());
            }
            self.add_pending(flight.at..flight.end);
        }
    }

    /// Notes that a block is not there after all.
    pub fn lose(&mut self, block: u64) {
        let start = block.saturating_mul(BLOCK);
        self.add_pending(start..start.saturating_add(BLOCK).min(self.size));
    }

    /// Tells the size that was unknown; the one flight ends there.
    pub fn end_at(&mut self, size: u64) {
        self.size = size;
        self.flights.clear();
        self.pending.clear();
    }

    /// Bytes from the beginning that are there without a gap.
    pub fn contiguous(&self) -> u64 {
        let pending = self.pending.first_key_value().map_or(self.size, |(start, _)| *start);
        let flying = self.flights.iter().filter(|flight| flight.at < flight.end);
        flying.map(|flight| flight.at).fold(pending, u64::min)
    }

    /// Bytes that are not there.
    pub fn left(&self) -> u64 {
        let pending: u64 = self.pending.iter().map(|(start, end)| end - start).sum();
        pending + self.flights.iter().map(|flight| flight.end - flight.at).sum::<u64>()
    }

    /// Bytes that are there.
    pub fn done(&self) -> u64 {
        if self.size == UNKNOWN {
            self.contiguous()
        } else {
            self.size - self.left()
        }
    }

    fn begin(&mut self, range: Range<u64>, is_second: bool) -> (u64, Range<u64>) {
        let id = self.next_id;
        self.next_id += 1;
        let (start, end) = (range.start, range.end);
        self.flights.push(Flight { id, start, at: start, end, begun: Instant::now(), is_second });
        (id, range)
    }

    fn add_pending(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let mut merged = range;
        if let Some((&start, &end)) = self.pending.range(..merged.start).next_back() {
            if end == merged.start {
                merged.start = start;
            }
        }
        if let Some(end) = self.pending.remove(&merged.end) {
            merged.end = end;
        }
        self.pending.insert(merged.start, merged.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 8 * BLOCK;

    /// A small generator of numbers (xorshift64*), so that a failure comes again.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
        }
    }

    #[test]
    fn pieces_are_handed_out_in_order() {
        let mut pieces = Pieces::with_blocks(20 * BLOCK + 5, [0, 9]);
        let taken: Vec<_> =
            std::iter::from_fn(|| pieces.take(PIECE, UNKNOWN)).map(|(_, range)| range).collect();
        let blocks = |a: u64, b: u64| a * BLOCK..b * BLOCK;
        let rest = 18 * BLOCK..20 * BLOCK + 5;
        assert_eq!(taken, [blocks(1, 9), blocks(10, 18), rest]);
    }

    #[test]
    fn pieces_get_smaller_towards_the_end() {
        let mut pieces = Pieces::new(64 * BLOCK);
        let mut lengths = Vec::new();
        while let Some((_, range)) = pieces.take(pieces.piece(PIECE, 3), UNKNOWN) {
            lengths.push((range.end - range.start) / BLOCK);
        }
        assert_eq!(lengths, [8, 8, 8, 7, 6, 5, 4, 3, 3, 2, 2, 2, 2, 2, 2]);
        assert_eq!(Pieces::new(UNKNOWN).piece(PIECE, 16), PIECE);
    }

    #[test]
    fn the_window_holds_back_what_lies_beyond_it() {
        let mut pieces = Pieces::new(64 * BLOCK);
        assert_eq!(pieces.take(PIECE, PIECE).unwrap().1, 0..PIECE);
        assert_eq!(pieces.take(PIECE, PIECE), None);
        assert_eq!(pieces.take(PIECE, PIECE + 1).unwrap().1, PIECE..2 * PIECE);
    }

    #[test]
    fn only_what_takes_long_is_split() {
        let mut pieces = Pieces::new(PIECE);
        let (id, _) = pieces.take(PIECE, UNKNOWN).unwrap();
        let now = Instant::now();
        assert_eq!(pieces.steal(now), None);
        pieces.advance(id, PIECE / 2);
        assert_eq!(pieces.steal(now), None);
        assert_eq!(pieces.steal(now + Duration::from_secs(1)).unwrap().1, 6 * BLOCK..8 * BLOCK);
        assert_eq!(pieces.advance(id, PIECE / 2 + 1), Some(6 * BLOCK));
    }

    #[test]
    fn the_end_of_a_slow_flight_is_taken_over_once() {
        let mut pieces = Pieces::new(2 * BLOCK);
        let (fast, _) = pieces.take(BLOCK, UNKNOWN).unwrap();
        let (slow, _) = pieces.take(BLOCK, UNKNOWN).unwrap();
        pieces.advance(fast, BLOCK);
        pieces.advance(slow, BLOCK + 1000);
        let later = Instant::now() + Duration::from_secs(5);
        assert_eq!(pieces.steal(later), None); // nothing says that others are faster
        pieces.land(fast);
        let (second, range) = pieces.steal(later).unwrap();
        assert_eq!(range, BLOCK + 1000..2 * BLOCK);
        assert_eq!(pieces.steal(later + Duration::from_secs(5)), None);
        // What the slow one brings late is no longer its own.
        assert_eq!(pieces.advance(slow, BLOCK + 5000), Some(BLOCK + 1000));
        pieces.land(slow);
        assert_eq!(pieces.contiguous(), BLOCK + 1000);
        assert_eq!(pieces.advance(second, 2 * BLOCK), Some(2 * BLOCK));
        pieces.land(second);
        assert_eq!(pieces.left(), 0);
    }

    #[test]
    fn a_size_that_nobody_told_is_found_at_the_end() {
        let mut pieces = Pieces::new(UNKNOWN);
        let (id, range) = pieces.take_rest().unwrap();
        assert_eq!(range, 0..UNKNOWN);
        assert_eq!(pieces.steal(Instant::now() + MIN_SILENCE), None);
        pieces.advance(id, 77);
        assert_eq!((pieces.contiguous(), pieces.done()), (77, 77));
        pieces.end_at(77);
        assert_eq!((pieces.left(), pieces.contiguous()), (0, 77));
    }

    /// Whatever is taken, split, cut short, lost and taken again: each byte comes to be there once for each time that
    /// it was missing, and nothing is counted wrong on the way.
    #[test]
    fn every_byte_comes_to_be_there() {
        for seed in 1..200 {
            let mut numbers = Numbers(seed);
            let size = 1 + numbers.below(40 * BLOCK);
            let mut pieces = Pieces::new(size);
            let mut flights: Vec<(u64, u64)> = Vec::new(); // id, at
            let mut there = 0;
            while pieces.left() > 0 {
                match numbers.below(5) {
                    0 => flights.extend(pieces.take(PIECE, UNKNOWN).map(|(id, range)| (id, range.start))),
                    1 => flights.extend(
                        pieces.steal(Instant::now() + MIN_SILENCE).map(|(id, range)| (id, range.start)),
                    ),
                    2 if !flights.is_empty() => {
                        let place = usize::try_from(numbers.below(flights.len() as u64)).unwrap();
                        pieces.land(flights.swap_remove(place).0);
                    }
                    _ if !flights.is_empty() => {
                        let place = usize::try_from(numbers.below(flights.len() as u64)).unwrap();
                        let (id, at) = &mut flights[place];
                        let end = pieces.advance(*id, *at).unwrap();
                        let step = 1 + numbers.below(2 * BLOCK);
                        let to = end.min(*at + step);
                        pieces.advance(*id, to).unwrap();
                        there += to - *at;
                        *at = to;
                    }
                    _ => {}
                }
                assert_eq!(pieces.done(), there);
                assert!(pieces.contiguous() <= there);
            }
            assert_eq!((there, pieces.contiguous()), (size, size));
            pieces.lose((size - 1) / BLOCK);
            assert_eq!(pieces.contiguous(), (size - 1) / BLOCK * BLOCK);
        }
    }
}
