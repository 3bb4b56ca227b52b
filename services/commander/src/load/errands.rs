//! Requests that are neither orders nor reads: uploads of a picture and background jobs.
use super::plan::{Key, Step};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use std::sync::{Arc, Mutex};

const BOUNDARY: &str = "seawall-7MA4YWxkTrZu0gW";
/// Of the picture that is uploaded; decoding and shrinking it is what costs the platform.
const SIDE: u32 = 480;

/// What these requests need.
#[derive(Debug)]
pub struct Errands {
    picture: Bytes,
    job: &'static str,
    authorization: Arc<Mutex<HeaderValue>>,
}

impl Errands {
    /// `authorization` is read anew for each request.
    pub fn new(authorization: Arc<Mutex<HeaderValue>>) -> Self {
        Self {
            picture: form(&gradient()),
            job: r#"{"kind":"echo","payload":{}}"#,
            authorization,
        }
    }

    /// The request of one step, as `host` gets it.
    pub fn request(&self, step: Step, key: Key, host: &HeaderValue) -> Request<Full<Bytes>> {
        let (path, kind, body) = match step {
            Step::Image => {
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                ("/api/images", kind, self.picture.clone())
            }
            _ => (
                "/api/job",
                "application/json".to_owned(),
                Bytes::from_static(self.job.as_bytes()),
            ),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        let headers = request.headers_mut();
        let value = |text: String| HeaderValue::try_from(text).expect("visible ASCII");
        headers.insert(HOST, host.clone());
        headers.insert(CONTENT_TYPE, value(kind));
        headers.insert("idempotency-key", value(key.to_string()));
        let authorization = self.authorization.lock().expect("nobody panics with it");
        headers.insert(AUTHORIZATION, authorization.clone());
        request
    }
}

fn form(picture: &[u8]) -> Bytes {
    let mut body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"load.png\"\r\n\
         content-type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(picture);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

/// A gradient, stored as a picture of the shop would be.
fn gradient() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE, SIDE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let pixel = |n: u32| {
        let (x, y) = (n % SIDE, n / SIDE);
        [x, y, x ^ y].map(|c| (c & 0xff) as u8)
    };
    let pixels: Vec<u8> = (0..SIDE * SIDE).flat_map(pixel).collect();
    let mut writer = encoder.write_header().expect("memory takes all");
    writer.write_image_data(&pixels).expect("memory takes all");
    drop(writer);
    file
}
