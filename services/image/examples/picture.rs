//! Prints a JPEG of soft shapes and grain, much as a camera would give it: WIDTH HEIGHT QUALITY.
use jpeg_encoder::{ColorType, Encoder};
use std::io::{Write as _, stdout};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<u16> = std::env::args()
        .skip(1)
        .map(|a| a.parse())
        .collect::<Result<_, _>>()?;
    let &[width, height, quality] = arguments.as_slice() else {
        anyhow::bail!("expected WIDTH HEIGHT QUALITY");
    };
    let mut grain = 1_u32;
    let mut samples = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for (channel, shift) in [0.0, 1.3, 2.6].into_iter().enumerate() {
                let (x, y) = (f64::from(x) / 130.0, f64::from(y) / 90.0);
                let shape =
                    (x + shift).sin() * (y - shift).cos() + (x * y / 9.0 + shift).sin() / 2.0;
                grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(grain >> 24) / 16.0 * if channel == 0 { 1.5 } else { 1.0 };
                samples.push((110.0 + 70.0 * shape + noise) as u8);
            }
        }
    }
    let mut file = Vec::new();
    Encoder::new(&mut file, u8::try_from(quality)?).encode(
        &samples,
        width,
        height,
        ColorType::Rgb,
    )?;
    Ok(stdout().write_all(&file)?)
}
