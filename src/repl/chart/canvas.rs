// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Dots in braille: two across and four down in every character.

pub(super) struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<u8>,
}

/// The bit of each dot of a character, by row and column.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

impl Canvas {
    /// A canvas of so many characters.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Canvas { width, height, cells: vec![0; width * height] }
    }

    /// How many dots it has across and down.
    fn dots(&self) -> (usize, usize) {
        (self.width * 2, self.height * 4)
    }

    /// The dot for a place between 0 and 1, from the left and from the bottom.
    fn dot(&self, (x, y): (f64, f64)) -> (usize, usize) {
        let (across, down) = self.dots();
        let on =
            |part: f64, dots: usize| (part.clamp(0.0, 1.0) * (dots - 1) as f64).round() as usize;
        (on(x, across), down - 1 - on(y, down))
    }

    pub(super) fn point(&mut self, at: (f64, f64)) {
        let (x, y) = self.dot(at);
        self.set(x, y);
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x0, y0), (x1, y1)) = (self.dot(from), self.dot(to));
        let steps = x0.abs_diff(x1).max(y0.abs_diff(y1)).max(1);
        for step in 0..=steps {
            let part = step as f64 / steps as f64;
            let between =
                |a: usize, b: usize| (a as f64 + (b as f64 - a as f64) * part).round() as usize;
            self.set(between(x0, x1), between(y0, y1));
        }
    }

    fn set(&mut self, x: usize, y: usize) {
        if let Some(cell) = self.cells.get_mut(y / 4 * self.width + x / 2) {
            *cell |= DOTS[y % 4][x % 2];
        }
    }

    /// The lines of characters, from the top.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.cells.chunks(self.width).map(|row| {
            row.iter()
                .map(|bits| match bits {
                    0 => ' ',
                    bits => char::from_u32(0x2800 + u32::from(*bits)).unwrap_or('?'),
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_where_they_belong() {
        let mut canvas = Canvas::new(2, 1);
        canvas.point((0.0, 0.0));
        canvas.point((1.0, 1.0));
        let lines: Vec<String> = canvas.lines().collect();
        assert_eq!(lines, ["\u{2840}\u{2808}"]);
    }

    #[test]
    fn a_line_has_no_holes() {
        let mut canvas = Canvas::new(10, 5);
        canvas.line((0.0, 0.0), (1.0, 1.0));
        assert!(canvas.lines().all(|l| l.chars().any(|c| c != ' ')));
    }
}
