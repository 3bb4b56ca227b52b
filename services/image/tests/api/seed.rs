//! The pictures of the products that exist from the first start.
use crate::{samples::look, support::exchange};
use service::testing::Process;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_image");

/// The ids in inventory's migration are those of the files here, and each is served.
#[test]
fn the_pictures_of_the_products_are_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let migration = here.join("../inventory/migrations/0003_pictures.sql");
    let migration = fs::read_to_string(migration).expect("inventory has it");
    let image = Process::start(BINARY, &[]).ready();
    for name in ["lantern", "jacket", "barometer", "rope", "mug"] {
        let file = fs::read(here.join(format!("pictures/{name}.jpg"))).expect("a picture");
        assert!(file.len() <= 20 << 10, "{name}: {} bytes", file.len());
        assert_eq!(look(&file).0, 800, "{name}");
        let digest = Sha256::digest(&file);
        let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            migration.contains(&format!("'/api/images/{id}'")),
            "{name}: {id}"
        );
        for size in ["", "/800", "/256"] {
            let path = format!("/images/{id}{size}");
            let started = Instant::now();
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            while !exchange(image.api, &[request.as_bytes()]).starts_with("HTTP/1.1 200 ") {
                assert!(started.elapsed() < Duration::from_secs(30), "{path}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
