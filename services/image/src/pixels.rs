//! A picture in memory: 8-bit samples, grey or RGB, without transparency.
use crate::orientation::Orientation;

/// Samples row by row, from the top left.
#[derive(Debug)]
pub struct Pixels {
    pub width: u32,
    pub height: u32,
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    pub samples: Vec<u8>,
}

impl Pixels {
    /// Drops an alpha channel, in place: what shows through is white, as on a page.
    pub fn opaque(width: u32, height: u32, channels: usize, mut samples: Vec<u8>) -> Self {
        if matches!(channels, 1 | 3) {
            return Self {
                width,
                height,
                channels,
                samples,
            };
        }
        let colours = channels - 1;
        let pixels = samples.len() / channels;
        for pixel in 0..pixels {
            let (from, to) = (pixel * channels, pixel * colours);
            let alpha = u32::from(samples[from + colours]);
            for colour in 0..colours {
                let over = u32::from(samples[from + colour]) * alpha + 255 * (255 - alpha);
                samples[to + colour] =
                    u8::try_from((over + 127) / 255).expect("a mean of bytes is a byte");
            }
        }
        samples.truncate(pixels * colours);
        Self {
            width,
            height,
            channels: colours,
            samples,
        }
    }

    /// The picture as it is meant to be seen.
    pub fn upright(mut self, orientation: Orientation) -> Self {
        if orientation.transposed {
            self = self.transpose();
        }
        let row = self.width as usize * self.channels;
        if orientation.mirrored {
            for row in self.samples.chunks_exact_mut(row) {
                reverse(row, self.channels);
            }
        }
        if orientation.flipped {
            let (mut top, mut bottom) = (0, self.height as usize - 1);
            while top < bottom {
                let (upper, lower) = self.samples.split_at_mut(bottom * row);
                upper[top * row..(top + 1) * row].swap_with_slice(&mut lower[..row]);
                top += 1;
                bottom -= 1;
            }
        }
        self
    }

    /// Rows become columns, in squares that fit the processor's cache.
    fn transpose(self) -> Self {
        const SQUARE: usize = 32;
        let (width, height) = (self.width as usize, self.height as usize);
        let channels = self.channels;
        let mut samples = vec![0; self.samples.len()];
        for top in (0..height).step_by(SQUARE) {
            for left in (0..width).step_by(SQUARE) {
                for y in top..height.min(top + SQUARE) {
                    for x in left..width.min(left + SQUARE) {
                        let from = (y * width + x) * channels;
                        let to = (x * height + y) * channels;
                        samples[to..to + channels]
                            .copy_from_slice(&self.samples[from..from + channels]);
                    }
                }
            }
        }
        Self {
            width: self.height,
            height: self.width,
            channels,
            samples,
        }
    }
}

fn reverse(row: &mut [u8], channels: usize) {
    row.reverse();
    for pixel in row.chunks_exact_mut(channels) {
        pixel.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparency_becomes_white() {
        let samples = vec![10, 20, 30, 255, 0, 0, 0, 0, 0, 100, 200, 128];
        let pixels = Pixels::opaque(3, 1, 4, samples);
        assert_eq!(pixels.channels, 3);
        assert_eq!(pixels.samples, [10, 20, 30, 255, 255, 255, 127, 177, 227]);
        let grey = Pixels::opaque(2, 1, 2, vec![7, 255, 7, 0]);
        assert_eq!((grey.channels, grey.samples), (1, vec![7, 255]));
    }

    /// The eight values of the EXIF tag and what they do to
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// ```
    #[test]
    fn every_orientation_is_turned_upright() {
        let expected: [(u16, [u8; 6]); 8] = [
            (1, [1, 2, 3, 4, 5, 6]),
            (2, [3, 2, 1, 6, 5, 4]),
            (3, [6, 5, 4, 3, 2, 1]),
            (4, [4, 5, 6, 1, 2, 3]),
            (5, [1, 4, 2, 5, 3, 6]),
            (6, [4, 1, 5, 2, 6, 3]),
            (7, [6, 3, 5, 2, 4, 1]),
            (8, [3, 6, 2, 5, 1, 4]),
        ];
        for (value, seen) in expected {
            for channels in [1, 3] {
                let spread = |sample: &u8| vec![*sample; channels];
                let pixels = Pixels {
                    width: 3,
                    height: 2,
                    channels,
                    samples: [1, 2, 3, 4, 5, 6].iter().flat_map(spread).collect(),
                };
                let upright = pixels.upright(Orientation::from_value(value));
                let seen: Vec<u8> = seen.iter().flat_map(spread).collect();
                assert_eq!(upright.samples, seen, "orientation {value}");
                assert_eq!(upright.width, if value > 4 { 2 } else { 3 });
            }
        }
    }
}
