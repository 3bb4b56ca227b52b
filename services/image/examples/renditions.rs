//! CPU time to make both renditions of a JPEG: FILE RUNS. `bench/renditions` compares it.
use procfs::{process::Process, ticks_per_second};

fn cpu() -> anyhow::Result<f64> {
    let stat = Process::myself()?.stat()?;
    Ok((stat.utime + stat.stime) as f64 / ticks_per_second() as f64)
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, runs] = arguments.as_slice() else {
        anyhow::bail!("expected FILE RUNS");
    };
    let (jpeg, runs) = (std::fs::read(file)?, runs.parse::<u32>()?);
    let [large, small] = image::renditions(jpeg.clone().into())?;
    let before = cpu()?;
    for _ in 0..runs {
        image::renditions(jpeg.clone().into())?;
    }
    let ms = (cpu()? - before) * 1000.0 / f64::from(runs);
    println!(
        "image  {ms:.1} ms CPU, {} and {} bytes",
        small.len(),
        large.len()
    );
    Ok(())
}
