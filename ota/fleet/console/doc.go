// Package console is the fleet's face for people and programs: an HTTP API with a bearer token, and one page that shows
// terminals, desired against reported configuration, and the last events.
//
// It holds no state and no rule: every request is a call of [Fleet].
//
//	GET  /api/v1/terminals?after=SERIAL&limit=N      {"terminals":[...]}
//	POST /api/v1/terminals                           register, answers the activation code once
//	GET  /api/v1/terminals/{serial}
//	POST /api/v1/terminals/{serial}/code             a new activation code
//	PUT  /api/v1/terminals/{serial}/config           body: wire.Config without schema and revision
//	POST /api/v1/terminals/{serial}/revoke           {"reason":"..."}
//	GET  /api/v1/events?serial=S&after=N&limit=N     {"events":[...]}; with last=1 the newest first
//	GET  /api/v1/audit?after=N&limit=N               {"entries":[...]}
//	GET  /api/v1/audit/verify                        {"seq":N,"hash":"..."} or 409
//
// An error is {"error":"...","fields":[{"path":"...","problem":"..."}]} with status 400, 401, 404, 409, 413 or 500.
// [Client] speaks the API.
//
// # Decisions
//
//   - The API takes the Authorization header alone, the page a cookie alone: another site's page cannot use either.
//   - A request whose Host is not a loopback name is refused (DNS rebinding).
//   - The page has no script and loads nothing from elsewhere; its policy is default-src 'none'.
//   - The cookie is a date under an HMAC with the token: nothing to store, and a new token ends every session.
package console
