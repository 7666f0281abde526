//! From a request to its response: authorization, injected failures, list or watch.

use std::{future::pending, sync::Arc, time::Instant};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{Query as Pairs, State as Extracted},
    http::{Method, Request as HttpRequest, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    body::{Writer, body},
    events,
    list::list,
    query::Query,
    resource::Target,
    shared::{Request, Shared},
    status::Refusal,
    watch::Watch,
};

/// The longest body that is read.
const LONGEST: usize = 1 << 20;

/// Answers any request.
pub(super) async fn answer(Extracted(shared): Extracted<Arc<Shared>>, request: HttpRequest<Body>) -> Response {
    let serial = shared.record(recorded(&request));
    if shared.state().faults.hang {
        return pending().await;
    }
    released(&shared, request.uri().path()).await;
    let response = match events::target(request.uri().path()) {
        Some(_) => written(&shared, request).await,
        None => served(&shared, serial, &request),
    };
    let response = response.unwrap_or_else(IntoResponse::into_response);
    shared.answered(serial, response.status().as_u16());
    response
}

/// Waits while requests for this path are held.
async fn released(shared: &Shared, path: &str) {
    let mut changed = shared.changed.subscribe();
    let plural = path.rsplit('/').next().unwrap_or_default();
    while shared.state().faults.held.contains(plural) {
        if changed.changed().await.is_err() {
            return;
        }
    }
}

fn pairs(request: &HttpRequest<Body>) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(request.uri());
    pairs.map(|Pairs(pairs)| pairs).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn recorded(request: &HttpRequest<Body>) -> Request {
    let authorization = request.headers().get(header::AUTHORIZATION);
    Request {
        serial: 0,
        path: request.uri().path().to_owned(),
        query: pairs(request).unwrap_or_default(),
        authorization: authorization.and_then(|value| value.to_str().ok()).map(str::to_owned),
        at: Instant::now(),
        code: 0,
    }
}

/// Fails as the injected faults say, and for a wrong token.
fn admit(shared: &Shared, request: &HttpRequest<Body>) -> Result<(), Refusal> {
    if let Some((code, retry_after)) = shared.state().faults.take_failure() {
        return Err(Refusal::injected(code, retry_after));
    }
    let authorization = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    if let Some(token) = &shared.state().token
        && authorization != Some(format!("Bearer {token}").as_bytes())
    {
        return Err(Refusal::unauthorized());
    }
    Ok(())
}

/// Writes an Event.
async fn written(shared: &Shared, request: HttpRequest<Body>) -> Result<Response, Refusal> {
    admit(shared, &request)?;
    if shared.state().faults.refused.contains_key("events") {
        return Err(Refusal::forbidden_events());
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LONGEST).await.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let target = events::target(head.uri.path()).ok_or_else(Refusal::not_found)?;
    let event =
        shared.change(|state| events::write(&mut state.events, target, (&head.method, &head.headers, &body)))?;
    let code = if target.1.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(event)).into_response())
}

fn served(shared: &Arc<Shared>, serial: u64, request: &HttpRequest<Body>) -> Result<Response, Refusal> {
    admit(shared, request)?;
    let target = Target::parse(request.uri().path()).ok_or_else(Refusal::not_found)?;
    if request.method() != Method::GET {
        return Err(Refusal::method_not_allowed());
    }
    let query = Query::parse(&pairs(request)?)?;
    match shared.state().faults.refused.get(target.resource.plural) {
        Some(404) => return Err(Refusal::not_found()),
        Some(403) => return Err(Refusal::forbidden(if query.watch { "watch" } else { "list" }, target.resource)),
        Some(code) => return Err(Refusal::injected(*code, None)),
        None => {}
    }
    let (writer, body) = body(Arc::clone(shared), serial);
    if query.watch {
        tokio::spawn(Watch::begin(shared, target, query)?.run(writer));
    } else {
        let list = list(&shared.state().store, &target, &query)?;
        tokio::spawn(write_list(writer, Bytes::from(list.to_string())));
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn write_list(writer: Writer, list: Bytes) {
    // A client that has closed the connection needs nothing more.
    let _ = writer.write(list).await;
}
