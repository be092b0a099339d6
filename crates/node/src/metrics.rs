//! Metrics for Prometheus, on a port of their own: `GET /metrics`.

use axum::{Router, http::header, routing::get};
use commonware_runtime::{Metrics as _, Spawner as _, tokio::Context};
use std::{net::TcpListener, sync::Arc};
use tracing::error;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves what is registered below `context`, for as long as it lives.
pub(crate) fn serve(context: Context, listener: TcpListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    context.spawn(move |context| async move {
        let context = Arc::new(context);
        let metrics = move || {
            let text = context.encode();
            async move { ([(header::CONTENT_TYPE, TEXT)], text) }
        };
        let router = Router::new().route("/metrics", get(metrics));
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => axum::serve(listener, router).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            error!(%error, "metrics are no longer served");
        }
    });
    Ok(())
}
