//! The console, embedded: files of `web/dist`, and its index for every path of its own.

use axum::{
    extract::Request,
    http::{HeaderValue, Method, header},
    response::{IntoResponse, Response},
};
use include_dir::{Dir, File, include_dir};

use crate::problem::Problem;

static DIST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../web/dist");

/// Files whose names hold a hash of their content never change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// Serves a file of the console, or its index where the path is one of its views.
pub(crate) async fn serve(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Problem::method("the console is only read").into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    let is_api = path == "api" || path.starts_with("api/");
    let is_view = !path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let found = match DIST.get_file(path) {
        Some(file) => Some(file),
        None if is_view && !is_api => DIST.get_file("index.html"),
        None => None,
    };
    found.map_or_else(|| Problem::no_route("there is nothing here").into_response(), answer)
}

fn answer(file: &'static File<'static>) -> Response {
    let path = file.path().to_str().unwrap_or_default();
    let cache = if path.starts_with("assets/") { FOR_EVER } else { ASK_AGAIN };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(path))),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (headers, file.contents()).into_response()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
