//! Whether a call is let in: by its key, or where none is asked for because it comes from this machine and no page of
//! another site is behind it.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::RequestExt;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Uri};
use granary_api::rights::Call;
use granary_core::access::{ApiKey, Right, Role};
use granary_core::error::{ErrorObject, ErrorType};

use super::{Caller, unauthenticated};
use crate::{App, Calls, routes};

/// Calls that a balancer makes.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who makes a call, if they may. `route` is its path as it is routed.
pub(crate) async fn let_in(
    app: &App,
    request: &mut Request,
    route: Option<&str>,
) -> Result<Caller, ErrorObject> {
    let (access, keys) = (&app.access, app.engine.store().access());
    let right = match (app.calls, route) {
        // What is not answered here is refused as such.
        (Calls::Health, None) => Some(Right::Open),
        _ => right(request.method().as_str(), route),
    };
    if right == Some(Right::Open) {
        // Also where the store is out of reach. Whether it is alive and ready, it tells under any name: who asks may stand
        // before it, and nothing else is told.
        if access.may_be_open() && !route.is_some_and(|route| HEALTH.contains(&route)) {
            of_this_machine(request)?;
        }
        return Ok(Caller::Anyone);
    }
    let known = access.known(keys, access.options.keys_kept).await?;
    let caller = match known.revision {
        0 if access.this_machine => {
            of_this_machine(request)?;
            Caller::Anyone
        }
        _ => {
            let record = access.holder(keys, &sent_key(request.headers())?).await?;
            access.used(record.id, app.engine.clock().now());
            Caller::Holder(record)
        }
    };
    if let Some(right) = right {
        let source = source(request).await;
        right.check(caller.role(), caller.sources(), source.as_deref())?;
    }
    Ok(caller)
}

/// What a call takes; `None` for one that is no call, which is refused as such to whoever has a key.
fn right(method: &str, route: Option<&str>) -> Option<Right> {
    let route = route?;
    match Call::find(method, route) {
        Some(call) => Some(call.right),
        // One that was forgotten in the table is nobody's but of those who may do all.
        None if routes::TABLE.iter().any(|routed| {
            routed.path == route && routed.methods.iter().any(|m| m.eq_ignore_ascii_case(method))
        }) =>
        {
            Some(Right::Everywhere(Role::Admin))
        }
        None => None,
    }
}

/// The source that the path of a call names.
async fn source(request: &mut Request) -> Option<String> {
    let params = request.extract_parts::<RawPathParams>().await.ok()?;
    let mut named = params.iter().filter(|(name, _)| *name == "source");
    named.next().map(|(_, source)| source.to_owned())
}

/// The key that a call carries.
fn sent_key(headers: &HeaderMap) -> Result<ApiKey, ErrorObject> {
    let text = |name: &HeaderName| {
        let mut lines = headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (first, None) => Ok(first.map(|line| line.to_str().unwrap_or_default().trim())),
            (_, Some(_)) => Err(unauthenticated("the call carries several keys; send one")),
        }
    };
    let bearer = text(&AUTHORIZATION)?.and_then(|line| {
        let (scheme, key) = line.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let sent = match (text(&API_KEY)?, bearer) {
        (None, None) => {
            return Err(unauthenticated(
                "the call carries no key; send one in X-API-Key or Authorization: Bearer",
            ));
        }
        (Some(a), Some(b)) if a != b => {
            return Err(unauthenticated("the call carries two keys; send one"));
        }
        (Some(key), _) | (None, Some(key)) => key,
    };
    // Never with what was sent: it may be a key with one letter too many.
    ApiKey::parse(sent).ok_or_else(|| {
        unauthenticated(match sent.starts_with(ApiKey::PREFIX) {
            true => "what was sent begins as a key does and is none; is it whole?",
            false => "what was sent is not a key; a key begins with granary_",
        })
    })
}

/// Refuses what a page of another site may be behind. A browser lets any page send calls to a server on its machine, and
/// names that site in `Origin`; where a site has its own name lead to this machine, it does so in `Host`.
fn of_this_machine(request: &Request) -> Result<(), ErrorObject> {
    let denied = |message| Err(ErrorObject::new(ErrorType::PermissionDenied, message));
    if !is_for_this_machine(request.uri(), request.headers()) {
        return denied(
            "without API keys only this machine is served, under localhost, 127.0.0.1 or [::1]; call it so, or create \
             a key with `granary key create`",
        );
    }
    if from_another_site(request.headers()) {
        return denied("a page of another site may not call here; with an API key and --cors-origin it may");
    }
    Ok(())
}

fn is_for_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback),
        _ => false,
    };
    host && uri.authority().is_none_or(|named| is_loopback(named.as_str()))
}

/// True for a name of this machine, with or without a port.
fn is_loopback(host: &str) -> bool {
    let is_port =
        |port: &str| port.is_empty() || port.strip_prefix(':').is_some_and(|n| n.parse::<u16>().is_ok());
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return is_port(port) && address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    let is_address = || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || is_address())
}

/// Also of a site that may call with a key: without keys nobody knows who is behind it.
fn from_another_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let site = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    site.is_none_or(|(_, site)| host != Some(site))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.9:1",
            "[::1]",
            "[::1]:8080",
            "[0:0::1]:1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":8080",
            "localhost.",
            "localhost.example",
            "127.0.0.1.example:8080",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "[::]",
            "[::ffff:7f00:1]",
            "::1",
            "10.0.0.1",
            "localhost:evil.example",
            "localhost:80:80",
            "[::1].example",
            "a@localhost",
            "localhost:70000",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
