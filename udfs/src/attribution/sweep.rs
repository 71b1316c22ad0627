// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The sweep over one customer: from touches and conversions in the order of time to the credits of each touch.
//!
//! The window of each conversion is an interval of touches, found by pointers that only move on. At the grain of touches
//! what the middle of an interval gets is added where it begins and taken away where it ends, and summed once at the end
//! (a difference array), so that neither the number of conversions that a touch serves nor the length of a journey costs
//! anything: n log n for the sorts, and n. Distinct channels (`path` first, Shapley) cost a binary search a channel and
//! conversion where windows overlap. Amounts are whole numbers, hence exact in any order.

use super::amount::{settle, split, split_by, split_evenly};
use super::options::{Direct, Model, Options, Path, Weights};
use super::rows::{ByGroup, NO_TIME, Touch};

/// What is credited: a thousand-millionth of orders, revenue, margin, and revenue of the first days.
pub(super) const AMOUNTS: usize = 4;
pub(super) type Amounts = [i128; AMOUNTS];
pub(super) const ORDERS: usize = 0;
pub(super) const REVENUE: usize = 1;
pub(super) const MARGIN: usize = 2;
pub(super) const HORIZON: usize = 3;
/// One order.
pub(super) const ONE: i128 = Weights::WHOLE;

fn add(to: &mut Amounts, what: &Amounts) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

fn each(value: &Amounts, mut share: impl FnMut(i128) -> [i128; 3]) -> [Amounts; 3] {
    let mut shares = [[0; AMOUNTS]; 3];
    for (k, value) in value.iter().enumerate().filter(|(_, value)| **value != 0) {
        for (shares, share) in shares.iter_mut().zip(share(*value)) {
            shares[k] = share;
        }
    }
    shares
}

/// A conversion of the customer at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    pub(super) at: i64,
    pub(super) period: i64,
    pub(super) row: u32,
    pub(super) amounts: Amounts,
}

/// Touches that journeys are made of, all of them or those that are not direct.
#[derive(Debug, Default)]
struct Track {
    /// Their places among the customer's touches.
    touches: Vec<u32>,
    /// The run of each: neighbours of one channel where they are one position, else itself.
    run: Vec<u32>,
    /// The first of each run.
    start: Vec<u32>,
    /// What the middle positions get, from a run on.
    middle: Vec<Amounts>,
    /// The touches of each channel, for distinct channels in overlapping windows.
    by_channel: Vec<(u32, u32)>,
}

impl Track {
    fn fill(&mut self, touches: &[Touch], keep: impl Fn(&Touch) -> bool, collapse: bool) {
        self.touches.clear();
        self.run.clear();
        self.start.clear();
        self.by_channel.clear();
        let mut last = None;
        for (place, touch) in touches.iter().enumerate().filter(|(_, touch)| keep(touch)) {
            if !collapse || last != Some(touch.channel()) {
                self.start.push(self.touches.len() as u32);
            }
            last = Some(touch.channel());
            self.run.push(self.start.len() as u32 - 1);
            self.touches.push(place as u32);
        }
        self.middle.resize(self.start.len() + 1, [0; AMOUNTS]);
    }

    fn touch(&self, position: usize) -> usize {
        self.touches[position] as usize
    }

    /// The position of the last run of a window.
    fn last(&self, window: &Window) -> usize {
        (self.start[self.run[window.to - 1] as usize] as usize).max(window.from)
    }
}

const ALL: usize = 0;
const INDIRECT: usize = 1;

/// The touches of a conversion: an interval of a track, empty when it has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) conversion: usize,
    track: usize,
    from: usize,
    to: usize,
}

impl Window {
    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }
}

/// A journey that ended, with an order or without.
pub(super) struct Journey<'a> {
    /// `None` when it ended without an order.
    pub(super) conversion: Option<&'a Conversion>,
    /// The touches that are its positions.
    pub(super) touches: &'a [Touch],
}

/// One customer; the room of the one before is used again.
pub(super) struct Customer<'a> {
    options: &'a Options,
    pub(super) touches: Vec<Touch>,
    pub(super) conversions: Vec<Conversion>,
    tracks: [Track; 2],
    windows: Vec<Window>,
    order_rows: Vec<u32>,
    /// What each touch gets, of the model and period at hand.
    credits: Vec<Amounts>,
    decayed: Vec<[f64; AMOUNTS]>,
    positions: Vec<u32>,
    weights: Vec<f64>,
    shares: Vec<i128>,
    /// The journey for which a channel was last met.
    met: Vec<u32>,
    journey: u32,
    gains: Vec<[f64; AMOUNTS]>,
}

impl<'a> Customer<'a> {
    pub(super) fn new(options: &'a Options, channels: usize) -> Self {
        Self {
            options,
            touches: vec![],
            conversions: vec![],
            tracks: [Track::default(), Track::default()],
            windows: vec![],
            order_rows: vec![],
            credits: vec![],
            decayed: vec![],
            positions: vec![],
            weights: vec![],
            shares: vec![],
            met: vec![0; channels],
            journey: 0,
            gains: vec![],
        }
    }

    /// Reads a group and finds the windows of its conversions.
    pub(super) fn read(&mut self, rows: &mut ByGroup, group: usize) {
        self.touches.clear();
        self.touches.extend_from_slice(rows.touches(group));
        rows.orders(group, &mut self.order_rows);
        self.conversions.clear();
        for row in &self.order_rows {
            let order = rows.order(*row);
            if self.options.new_customers && order.at == NO_TIME {
                continue;
            }
            self.conversions.push(Conversion {
                at: order.at,
                period: rows.period(*row),
                row: *row,
                amounts: [ONE, order.revenue, rows.margin(*row), order.revenue],
            });
        }
        self.bring_forward();
        if self.options.new_customers {
            self.conversions.truncate(1);
        }
        self.credits.clear();
        self.credits.resize(self.touches.len(), [0; AMOUNTS]);
        let collapse = self.options.path == Path::Exposure;
        let [all, indirect] = &mut self.tracks;
        all.fill(&self.touches, |_| true, collapse);
        if all.touches.iter().any(|place| self.touches[*place as usize].is_direct()) {
            indirect.fill(&self.touches, |touch| !touch.is_direct(), collapse);
        } else {
            indirect.touches.clear();
        }
        self.find_windows();
    }

    /// Within the horizon the first conversion has the revenue of all.
    fn bring_forward(&mut self) {
        let Some(horizon) = self.options.horizon else {
            self.conversions.iter_mut().for_each(|conversion| conversion.amounts[HORIZON] = 0);
            return;
        };
        let Some(first) = self.conversions.iter().position(|c| c.at != NO_TIME) else { return };
        let end = self.conversions[first].at.saturating_add(horizon);
        let mut brought = 0;
        for conversion in &mut self.conversions[first..] {
            if conversion.at <= end {
                brought += std::mem::take(&mut conversion.amounts[HORIZON]);
            }
        }
        self.conversions[first].amounts[HORIZON] = brought;
    }

    fn find_windows(&mut self) {
        self.windows.clear();
        let has_direct = !self.tracks[INDIRECT].touches.is_empty()
            || self.touches.iter().any(|touch| touch.is_direct());
        let mut all = Pointers::default();
        let mut indirect = Pointers::default();
        for (conversion, Conversion { at, .. }) in self.conversions.iter().enumerate() {
            let (from, to) = all.advance(&self.tracks[ALL], &self.touches, *at, self.options);
            let everything = Window { conversion, track: ALL, from, to };
            let window = if !has_direct || self.options.direct == Direct::Never {
                everything
            } else {
                let (from, to) =
                    indirect.advance(&self.tracks[INDIRECT], &self.touches, *at, self.options);
                let window = Window { conversion, track: INDIRECT, from, to };
                let only_direct = window.is_empty() && self.options.direct == Direct::UnlessOnly;
                if only_direct { everything } else { window }
            };
            self.windows.push(window);
        }
    }

    /// Calls `visit` with the windows of each period in turn, for they are in the order of time.
    pub(super) fn periods(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges = vec![];
        let mut start = 0;
        for end in 1..=self.windows.len() {
            let period = |window: usize| self.conversions[self.windows[window].conversion].period;
            if end == self.windows.len() || period(end) != period(start) {
                ranges.push(start..end);
                start = end;
            }
        }
        ranges
    }

    pub(super) fn windows(&self, range: std::ops::Range<usize>) -> &[Window] {
        &self.windows[range]
    }

    pub(super) fn conversion(&self, window: &Window) -> &Conversion {
        &self.conversions[window.conversion]
    }

    /// What the conversions of a range that have no touch are worth, if there are any.
    pub(super) fn unattributed(&self, range: std::ops::Range<usize>) -> Option<Amounts> {
        let mut sum = None;
        for window in self.windows[range].iter().filter(|window| window.is_empty()) {
            add(sum.get_or_insert([0; AMOUNTS]), &self.conversion(window).amounts);
        }
        sum
    }

    /// Shares out the conversions of a range of windows, and calls `visit` with each touch that may have got something.
    pub(super) fn credit(
        &mut self,
        model: Model,
        range: std::ops::Range<usize>,
        mut visit: impl FnMut(usize, &Touch, &Amounts),
    ) {
        let windows = std::mem::take(&mut self.windows);
        let mut first = usize::MAX;
        let mut end = 0;
        for window in windows[range.clone()].iter().filter(|window| !window.is_empty()) {
            let track = &self.tracks[window.track];
            first = first.min(track.touch(window.from));
            end = end.max(track.touch(window.to - 1) + 1);
        }
        if first < end {
            self.share_out(model, &windows[range]);
            for place in first..end {
                visit(place, &self.touches[place], &self.credits[place]);
                self.credits[place] = [0; AMOUNTS];
            }
        }
        self.windows = windows;
    }

    fn share_out(&mut self, model: Model, windows: &[Window]) {
        let distinct = model == Model::Shapley || self.options.path == Path::First;
        match model {
            Model::TimeDecay if !self.options.reset && !distinct => self.decay_overlapping(windows),
            Model::TimeDecay => self.decay(windows),
            _ if distinct => {
                for window in windows.iter().filter(|window| !window.is_empty()) {
                    self.positions(model, window);
                    let amounts = self.conversions[window.conversion].amounts;
                    self.share_among_positions(model, window.track, &amounts);
                }
            }
            _ => self.share_among_runs(model, windows),
        }
    }

    /// Models of a first, equal middle and a last share, over runs.
    fn share_among_runs(&mut self, model: Model, windows: &[Window]) {
        let mut middle = [(usize::MAX, 0); 2];
        for window in windows.iter().filter(|window| !window.is_empty()) {
            let amounts = self.conversions[window.conversion].amounts;
            let last = self.last_by(model, window);
            let track = &mut self.tracks[window.track];
            let (from, to) = (track.run[window.from] as usize, track.run[window.to - 1] as usize);
            let [first, each, last_share] =
                shares(model, &amounts, to - from + 1, self.options.weights);
            add(&mut self.credits[track.touches[window.from] as usize], &first);
            add(&mut self.credits[track.touches[last] as usize], &last_share);
            if to > from + 1 && each != [0; AMOUNTS] {
                add(&mut track.middle[from + 1], &each);
                let end = &mut track.middle[to];
                end.iter_mut().zip(&each).for_each(|(end, each)| *end -= each);
                let (low, high) = &mut middle[window.track];
                *low = (*low).min(from + 1);
                *high = (*high).max(to);
            }
        }
        for (track, (low, high)) in self.tracks.iter_mut().zip(middle) {
            let mut sum = [0; AMOUNTS];
            for run in low..(high + 1).max(low) {
                add(&mut sum, &std::mem::replace(&mut track.middle[run], [0; AMOUNTS]));
                if run < high {
                    let place = track.touches[track.start[run] as usize] as usize;
                    add(&mut self.credits[place], &sum);
                }
            }
        }
    }

    /// The position that a model of the last touch credits.
    fn last_by(&self, model: Model, window: &Window) -> usize {
        let track = &self.tracks[window.track];
        let last = track.last(window);
        // Only where direct touches are positions beside others is the last of these to be looked for.
        if model != Model::LastNonDirect || window.track == INDIRECT {
            return last;
        }
        let is_indirect = |position: &usize| !self.touches[track.touch(*position)].is_direct();
        let indirect = &self.tracks[INDIRECT];
        let end =
            indirect.touches.partition_point(|place| *place as usize <= track.touch(window.to - 1));
        let place = indirect.touches[..end].last().map(|place| *place as usize);
        let position =
            place.map(|place| track.touches.partition_point(|touch| (*touch as usize) < place));
        match position.filter(|position| *position >= window.from).filter(is_indirect) {
            Some(position) => (track.start[track.run[position] as usize] as usize).max(window.from),
            None => last,
        }
    }

    /// Puts the positions of a window into `positions`.
    pub(super) fn positions(&mut self, model: Model, window: &Window) {
        self.positions.clear();
        let track = &mut self.tracks[window.track];
        if window.is_empty() {
            return;
        }
        let distinct = model == Model::Shapley || self.options.path == Path::First;
        if !distinct {
            let (from, to) = (track.run[window.from], track.run[window.to - 1]);
            self.positions.push(window.from as u32);
            self.positions.extend(&track.start[from as usize + 1..=to as usize]);
            return;
        }
        if self.options.reset || window.to - window.from < 64 {
            self.journey += 1;
            for position in window.from..window.to {
                let channel = self.touches[track.touches[position] as usize].channel() as usize;
                if self.met[channel] != self.journey {
                    self.met[channel] = self.journey;
                    self.positions.push(position as u32);
                }
            }
            return;
        }
        // Long windows that overlap: the first touch of each channel from the window's begin on.
        if track.by_channel.is_empty() {
            let touches = &self.touches;
            let channel = |place: &u32| touches[*place as usize].channel();
            track
                .by_channel
                .extend(track.touches.iter().enumerate().map(|(p, t)| (channel(t), p as u32)));
            track.by_channel.sort_unstable();
        }
        let mut rest = track.by_channel.as_slice();
        while let Some((channel, _)) = rest.first().copied() {
            let next = rest.partition_point(|touch| *touch < (channel, window.from as u32));
            if let Some((found, position)) = rest.get(next)
                && *found == channel
                && (*position as usize) < window.to
            {
                self.positions.push(*position);
            }
            rest = &rest[rest.partition_point(|(found, _)| *found <= channel)..];
        }
        self.positions.sort_unstable();
    }

    fn share_among_positions(&mut self, model: Model, track: usize, amounts: &Amounts) {
        let n = self.positions.len();
        let [first, each, last] = shares(model, amounts, n, self.options.weights);
        let last_position = self.last_position(model, track);
        let track = &self.tracks[track];
        for (index, position) in self.positions.iter().enumerate() {
            let place = track.touch(*position as usize);
            if index == 0 {
                add(&mut self.credits[place], &first);
            } else if index + 1 < n {
                add(&mut self.credits[place], &each);
            }
            if index == last_position {
                add(&mut self.credits[place], &last);
            }
        }
    }

    /// The index of the position that has the last share.
    fn last_position(&self, model: Model, track: usize) -> usize {
        let track = &self.tracks[track];
        let last = self.positions.len() - 1;
        if model != Model::LastNonDirect {
            return last;
        }
        let indirect = |p: &u32| !self.touches[track.touch(*p as usize)].is_direct();
        self.positions.iter().rposition(indirect).unwrap_or(last)
    }

    /// Time decay position by position: windows that do not overlap, or distinct channels.
    fn decay(&mut self, windows: &[Window]) {
        let mut rest = windows;
        while let Some(window) = rest.first() {
            // Orders of one moment share a window, and are one.
            let same = rest
                .iter()
                .take_while(|w| (w.track, w.from, w.to) == (window.track, window.from, window.to))
                .count();
            let mut amounts = [0; AMOUNTS];
            for window in &rest[..same] {
                add(&mut amounts, &self.conversions[window.conversion].amounts);
            }
            rest = &rest[same..];
            if window.is_empty() {
                continue;
            }
            self.positions(Model::TimeDecay, window);
            self.decay_weights(window.track);
            for (k, value) in amounts.iter().enumerate().filter(|(_, value)| **value != 0) {
                split_by(*value, &self.weights, &mut self.shares);
                for (position, share) in self.positions.iter().zip(&self.shares) {
                    self.credits[self.tracks[window.track].touch(*position as usize)][k] += share;
                }
            }
        }
    }

    /// The weights of `positions` by age, relative to the last of them, so that no half-life is too short.
    fn decay_weights(&mut self, track: usize) {
        let track = &self.tracks[track];
        let at = |position: &u32| self.touches[track.touch(*position as usize)].at;
        self.weights.clear();
        let Some(last) = self.positions.last().map(at) else { return };
        let half_life = self.options.half_life;
        self.weights.extend(self.positions.iter().map(|p| decay(at(p), last, half_life)));
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|weight| *weight /= sum);
    }

    /// Time decay over windows that overlap. Going forward, a decayed sum over the window's positions gives what its
    /// weights are divided by; going back, a decayed sum over the conversions gives what each position gets.
    ///
    /// What leaves either sum is the smallest in it, so that taking it away loses no digits that matter. The credits
    /// are rounded once for each touch, and what is left goes to the last touch of the range.
    fn decay_overlapping(&mut self, windows: &[Window]) {
        self.decayed.clear();
        self.decayed.resize(self.touches.len(), [0.0; AMOUNTS]);
        let (mut first, mut end) = (usize::MAX, 0);
        let mut total = [0; AMOUNTS];
        for track in [ALL, INDIRECT] {
            self.decay_track(windows, track);
        }
        for window in windows.iter().filter(|window| !window.is_empty()) {
            let track = &self.tracks[window.track];
            first = first.min(track.touch(window.from));
            end = end.max(track.touch(track.last(window)) + 1);
            add(&mut total, &self.conversions[window.conversion].amounts);
        }
        if first >= end {
            return;
        }
        for (k, total) in total.into_iter().enumerate().filter(|(_, total)| *total != 0) {
            self.shares.clear();
            self.shares
                .extend(self.decayed[first..end].iter().map(|gained| gained[k].round() as i128));
            settle(&mut self.shares, total, |place| self.decayed[first + place][k]);
            for (credit, share) in self.credits[first..end].iter_mut().zip(&self.shares) {
                credit[k] += share;
            }
        }
    }

    fn decay_track(&mut self, windows: &[Window], of: usize) {
        let half_life = self.options.half_life;
        let track = &self.tracks[of];
        let at = |position: usize| self.touches[track.touch(position)].at;
        let start = |run: usize| at(track.start[run] as usize);
        let runs = |w: &Window| (track.run[w.from] as usize, track.run[w.to - 1] as usize);
        let mine: Vec<&Window> =
            windows.iter().filter(|w| !w.is_empty() && w.track == of).collect();
        let (Some(first), Some(last)) = (mine.first(), mine.last()) else { return };

        // Forward: the runs from `low` up to `high` are in `sum`, as of the begin of the last.
        self.gains.clear();
        let (mut low, mut high, mut sum, mut now) = (0, 0, 0.0, 0);
        for window in &mine {
            let (from, to) = runs(window);
            if from + 1 > high {
                (low, high, sum) = (from + 1, from + 1, 0.0);
            }
            while high <= to {
                sum =
                    if high == low { 1.0 } else { sum * decay(now, start(high), half_life) + 1.0 };
                now = start(high);
                high += 1;
            }
            while low <= from {
                sum -= decay(start(low), now, half_life);
                low += 1;
            }
            if low == high {
                sum = 0.0;
            }
            // The first position is the window's first touch, wherever its run began.
            let last = at(track.last(window));
            let first = decay(at(window.from), last, half_life);
            let whole = if to > from { sum + first } else { 1.0 };
            let mut gain =
                self.conversions[window.conversion].amounts.map(|value| value as f64 / whole);
            let gained = &mut self.decayed[track.touch(window.from)];
            for (gained, gain) in gained.iter_mut().zip(&gain) {
                *gained += gain * if to > from { first } else { 1.0 };
            }
            if to == from {
                gain = [0.0; AMOUNTS];
            }
            self.gains.push(gain);
        }

        // Back: the windows that reach a run and begin before it are in `sum`.
        let mut entering = mine.iter().zip(&self.gains).rev().peekable();
        let mut leaving = mine.iter().zip(&self.gains).rev().peekable();
        let (mut sum, mut now, mut inside) = ([0.0; AMOUNTS], 0, 0_usize);
        for run in (runs(first).0 + 1..=runs(last).1).rev() {
            let then = start(run);
            if inside > 0 {
                let factor = decay(then, now, half_life);
                sum.iter_mut().for_each(|sum| *sum *= factor);
            }
            now = then;
            while let Some((_, gain)) = entering.next_if(|(w, _)| runs(w).1 >= run) {
                sum.iter_mut().zip(gain).for_each(|(sum, gain)| *sum += gain);
                inside += 1;
            }
            while let Some((window, gain)) = leaving.next_if(|(w, _)| runs(w).0 >= run) {
                let factor = decay(now, start(runs(window).1), half_life);
                sum.iter_mut().zip(gain).for_each(|(sum, gain)| *sum -= gain * factor);
                inside -= 1;
            }
            if inside == 0 {
                sum = [0.0; AMOUNTS];
            }
            let gained = &mut self.decayed[track.touches[track.start[run] as usize] as usize];
            gained.iter_mut().zip(&sum).for_each(|(gained, sum)| *gained += sum);
        }
    }

    /// Calls `visit` with each position of a window's journey: its index, how many there are, its touch, weight and credits.
    pub(super) fn journey(
        &mut self,
        model: Model,
        window: Window,
        mut visit: impl FnMut(usize, usize, &Touch, f64, &Amounts),
    ) {
        self.positions(model, &window);
        let n = self.positions.len();
        if n == 0 {
            return;
        }
        let amounts = self.conversions[window.conversion].amounts;
        let last = self.last_position(model, window.track);
        let mut credits = vec![[0; AMOUNTS]; n];
        if model == Model::TimeDecay {
            self.decay_weights(window.track);
            for (k, value) in amounts.into_iter().enumerate().filter(|(_, value)| *value != 0) {
                split_by(value, &self.weights, &mut self.shares);
                credits.iter_mut().zip(&self.shares).for_each(|(credit, share)| credit[k] = *share);
            }
        } else {
            let [first, each, last_share] = shares(model, &amounts, n, self.options.weights);
            add(&mut credits[0], &first);
            credits[1..(n - 1).max(1)].iter_mut().for_each(|credit| *credit = each);
            add(&mut credits[last], &last_share);
            let weights = weights(model, n, self.options.weights);
            self.weights.clear();
            self.weights.resize(n, weights[1]);
            self.weights[0] = weights[0];
            self.weights[n - 1] = if n == 1 { 1.0 } else { weights[2] };
            if last != n - 1 {
                self.weights[n - 1] = 0.0;
                self.weights[last] = 1.0;
            }
        }
        let track = &self.tracks[window.track];
        for (index, position) in self.positions.iter().enumerate() {
            let touch = &self.touches[track.touch(*position as usize)];
            visit(index, n, touch, self.weights[index], &credits[index]);
        }
    }

    /// Calls `visit` with the journey of every conversion, then with those that ended without one: touches that no
    /// conversion's window holds, as long as neither a conversion nor more than the lookback lies between them.
    pub(super) fn journeys(&mut self, mut visit: impl FnMut(Journey<'_>)) {
        let mut touches: Vec<Touch> = vec![];
        let windows = std::mem::take(&mut self.windows);
        for window in &windows {
            self.positions(Model::Linear, window);
            let track = &self.tracks[window.track];
            touches.clear();
            touches.extend(self.positions.iter().map(|p| self.touches[track.touch(*p as usize)]));
            visit(Journey {
                conversion: Some(&self.conversions[window.conversion]),
                touches: &touches,
            });
        }
        self.windows = windows;

        let mut served = Pointers::default();
        let mut used_until = 0;
        let mut free: Vec<(usize, usize)> = vec![];
        let lookback = self.options.lookback;
        let mut push = |from: usize, to: usize, touches: &[Touch]| {
            let mut start = from;
            for place in from + 1..to {
                let gap = touches[place].at.saturating_sub(touches[place - 1].at);
                if lookback.is_some_and(|lookback| gap > lookback) {
                    free.push((start, place));
                    start = place;
                }
            }
            if start < to {
                free.push((start, to));
            }
        };
        for conversion in &self.conversions {
            let (from, to) =
                served.advance(&self.tracks[ALL], &self.touches, conversion.at, self.options);
            push(used_until, from.max(used_until), &self.touches);
            used_until = used_until.max(to);
        }
        push(used_until, self.touches.len(), &self.touches);
        for (from, to) in free {
            let path = &self.touches[from..to];
            let any_indirect = path.iter().any(|touch| !touch.is_direct());
            let keeps = |touch: &&Touch| match self.options.direct {
                Direct::Never => true,
                Direct::Always => !touch.is_direct(),
                Direct::UnlessOnly => !any_indirect || !touch.is_direct(),
            };
            touches.clear();
            self.journey += 1;
            for touch in path.iter().filter(keeps) {
                let position = match self.options.path {
                    Path::None => true,
                    Path::Exposure => touches.last().map(|t| t.channel()) != Some(touch.channel()),
                    Path::First => {
                        let met = &mut self.met[touch.channel() as usize];
                        std::mem::replace(met, self.journey) != self.journey
                    }
                };
                if position {
                    touches.push(*touch);
                }
            }
            if !touches.is_empty() {
                visit(Journey { conversion: None, touches: &touches });
            }
        }
    }

    /// What each channel did for the conversions of a range beside its credits: the revenue of the journeys that it
    /// closed, and how many orders it assisted, closed by another.
    pub(super) fn helps(
        &mut self,
        range: std::ops::Range<usize>,
        mut visit: impl FnMut(u32, i128, i64),
    ) {
        let windows = std::mem::take(&mut self.windows);
        for window in windows[range].iter().filter(|window| !window.is_empty()) {
            let track = &self.tracks[window.track];
            let last = self.touches[track.touch(window.to - 1)].channel();
            visit(last, self.conversions[window.conversion].amounts[REVENUE], 0);
            self.positions(Model::Shapley, window);
            let track = &self.tracks[window.track];
            for position in &self.positions {
                let channel = self.touches[track.touch(*position as usize)].channel();
                if channel != last {
                    visit(channel, 0, 1);
                }
            }
        }
        self.windows = windows;
    }
}

/// Where the window of the conversion at hand begins and ends.
#[derive(Default)]
struct Pointers {
    from: usize,
    to: usize,
    /// The end of the window of the conversions at an earlier time.
    served: usize,
    at: Option<i64>,
}

impl Pointers {
    fn advance(
        &mut self,
        track: &Track,
        touches: &[Touch],
        at: i64,
        options: &Options,
    ) -> (usize, usize) {
        let time = |position: usize| touches[track.touch(position)].at;
        // Orders at one time have one journey: none of them comes before the other.
        if self.at != Some(at) {
            self.served = self.to;
            self.at = Some(at);
        }
        while self.to < track.touches.len() && time(self.to) <= at {
            self.to += 1;
        }
        if let Some(lookback) = options.lookback {
            let begin = at.saturating_sub(lookback);
            while self.from < self.to && time(self.from) < begin {
                self.from += 1;
            }
        }
        if options.reset {
            self.from = self.from.max(self.served);
        }
        (self.from, self.to)
    }
}

/// The share of the first, of each in the middle, and of the last of `n` positions.
fn shares(model: Model, amounts: &Amounts, n: usize, weights: Weights) -> [Amounts; 3] {
    match model {
        Model::First => [*amounts, [0; AMOUNTS], [0; AMOUNTS]],
        Model::Last | Model::LastNonDirect => [[0; AMOUNTS], [0; AMOUNTS], *amounts],
        Model::Weighted => each(amounts, |value| split(value, n, weights)),
        Model::Position => each(amounts, |value| split(value, n, Weights::POSITION)),
        Model::Linear | Model::Shapley | Model::Markov | Model::TimeDecay => {
            each(amounts, |value| {
                let [each, last] = split_evenly(value, n);
                if n == 1 { [0, 0, value] } else { [each, each, last] }
            })
        }
    }
}

fn weights(model: Model, n: usize, weights: Weights) -> [f64; 3] {
    let by = |weights: Weights| {
        let whole = Weights::WHOLE as f64;
        let (first, last) = (weights.first as f64 / whole, weights.last as f64 / whole);
        let middle = (Weights::WHOLE - weights.first - weights.last) as f64 / whole;
        match n {
            1 => [1.0, 0.0, 0.0],
            2 => [first + middle / 2.0, 0.0, last + middle / 2.0],
            _ => [first, middle / (n - 2) as f64, last],
        }
    };
    match model {
        Model::First => [1.0, 0.0, 0.0],
        Model::Last | Model::LastNonDirect => [0.0, 0.0, 1.0],
        Model::Weighted => by(weights),
        Model::Position => by(Weights::POSITION),
        Model::Linear | Model::Shapley | Model::Markov | Model::TimeDecay => [1.0 / n as f64; 3],
    }
}

/// What is left of 1 after the time between the two.
fn decay(from: i64, to: i64, half_life: f64) -> f64 {
    (-(to.saturating_sub(from) as f64) / half_life).exp2()
}
