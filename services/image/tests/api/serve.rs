//! How pictures are served.
use crate::{
    samples::{gradient, jpeg, look},
    support::{Got, Replica},
};
use jpeg_encoder::{ColorType, Encoder};

#[track_caller]
fn expect_headers(got: &Got, etag: &str) {
    assert_eq!(got.header("etag"), etag);
    let forever = "public, max-age=31536000, immutable";
    assert_eq!(got.header("cache-control"), forever);
}

#[tokio::test]
async fn pictures_are_served_for_good_and_as_nothing_but_pictures() {
    let replica = Replica::new();
    let stored = replica.upload(&jpeg(500, 400)).await.expect(201);
    let id = stored["id"].as_str().expect("an id");
    for (size, name) in [("", "full"), ("/800", "800"), ("/256", "256")] {
        let path = format!("/images/{id}{size}");
        let etag = format!("\"{id}-{name}\"");
        // From the store, then from memory.
        for _ in 0..2 {
            let got = replica.get(&path, &[]).await;
            assert_eq!(got.status, 200);
            expect_headers(&got, &etag);
            assert_eq!(got.header("content-type"), "image/jpeg");
            assert_eq!(got.header("x-content-type-options"), "nosniff");
            let inline = format!("inline; filename=\"{id}.jpg\"");
            assert_eq!(got.header("content-disposition"), inline);
            assert_eq!(
                got.header("content-security-policy"),
                "default-src 'none'; sandbox"
            );
            assert_eq!(got.header("content-length"), got.bytes.len().to_string());
            look(&got.bytes);
            let head = replica.ask("HEAD", &path, &[]).await;
            assert_eq!((head.status, head.bytes.len()), (got.status, 0));
            for (name, value) in &got.headers {
                if name != "x-request-id" {
                    assert_eq!(head.headers.get(name), Some(value), "{name}");
                }
            }
        }
        for tags in [&etag, "*", &format!("\"x\", W/{etag}")] {
            let got = replica.get(&path, &[("if-none-match", tags)]).await;
            assert_eq!((got.status.as_u16(), got.bytes.len()), (304, 0), "{tags}");
            expect_headers(&got, &etag);
        }
        let got = replica.get(&path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(got.status, 200);
    }
}

/// The small one is served from memory, the large one is streamed.
#[tokio::test]
async fn parts_of_pictures_are_served() {
    let replica = Replica::new();
    for (side, kept_in_memory) in [(300, true), (1300, false)] {
        let stored = replica.upload(&noise(side)).await.expect(201);
        let whole = replica.picture(&stored, "").await;
        assert_eq!(whole.len() < 512 << 10, kept_in_memory, "{}", whole.len());
        let id = stored["id"].as_str().expect("an id");
        let path = format!("/images/{id}");
        let length = whole.len();
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=10-99".to_owned(), 10, 100),
            ("bytes=-7".to_owned(), length - 7, length),
            (format!("bytes={}-", length - 9), length - 9, length),
            (format!("bytes=5-{}", length * 2), 5, length),
        ] {
            let got = replica.get(&path, &[("range", &range)]).await;
            assert_eq!(got.status, 206, "{range}");
            assert_eq!(got.bytes, whole[from..to], "{range}");
            let shown = format!("bytes {from}-{}/{length}", to - 1);
            assert_eq!(got.header("content-range"), shown);
            assert_eq!(got.header("content-length"), (to - from).to_string());
        }
        for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
            let got = replica.get(&path, &[("range", &range)]).await;
            assert_eq!(got.status, 416, "{range}");
            assert_eq!(got.header("content-range"), format!("bytes */{length}"));
            assert_eq!(got.header("content-type"), "application/problem+json");
        }
        let etag = format!("\"{id}-full\"");
        for (validator, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
            let asked = [("range", "bytes=0-9"), ("if-range", validator)];
            assert_eq!(replica.get(&path, &asked).await.status, status);
        }
        for range in ["bytes=0-1,5-6", "bytes=9-1", "lines=1-2", "bytes=a-b"] {
            let got = replica.get(&path, &[("range", range)]).await;
            assert_eq!(
                (got.status.as_u16(), got.bytes.len()),
                (200, length),
                "{range}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_an_id_or_a_size_is_not_there() {
    let replica = Replica::new();
    let stored = replica.upload(&jpeg(100, 100)).await.expect(201);
    let id = stored["id"].as_str().expect("an id");
    let none = "0".repeat(64);
    for path in [
        format!("/images/{none}"),
        format!("/images/{none}/256"),
        format!("/images/{}", id.to_uppercase()),
        format!("/images/{}", &id[1..]),
        format!("/images/{id}.jpg"),
        format!("/images/{id}/full"),
        format!("/images/{id}/full.jpg"),
        format!("/images/{id}/257"),
        format!("/images/{id}/..%2f{id}%2f256"),
        format!("/images/{id}%2f256.jpg"),
        "/images/..%2f..%2fetc%2fpasswd".to_owned(),
        "/images/%2e%2e/256".to_owned(),
        "/images/..%5c..%5csecret".to_owned(),
        "/images/%252e%252e%252f".to_owned(),
        "/images/%00".to_owned(),
        "/images/%2fetc%2fpasswd".to_owned(),
    ] {
        let got = replica.get(&path, &[]).await;
        assert_eq!(got.status, 404, "{path}");
        assert_eq!(
            got.header("content-type"),
            "application/problem+json",
            "{path}"
        );
        assert_eq!(
            got.header("cache-control"),
            "",
            "{path}: errors must not be kept"
        );
    }
}

/// A JPEG that does not shrink, as its samples look random.
fn noise(side: u16) -> Vec<u8> {
    let mut state = 1_u32;
    let mut samples = gradient(side.into(), side.into(), 3);
    for sample in &mut samples {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = sample.wrapping_add(state.to_be_bytes()[0] / 4);
    }
    let mut file = Vec::new();
    let encoder = Encoder::new(&mut file, 70);
    encoder
        .encode(&samples, side, side, ColorType::Rgb)
        .expect("it is encoded");
    file
}
