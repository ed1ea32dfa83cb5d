// Serves the page, and beside it a sample API that takes access tokens: `node server.mjs [config.json]`.
//
// The page's files go out with a policy under which nothing runs that is not in this folder, and nothing is asked but this
// server and the issuer.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { InvalidToken, NoKeys, Verifier } from "./verify.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const configFile = process.argv[2] ?? here("config.json");
const config = JSON.parse(await readFile(configFile, "utf8"));
const verifier = new Verifier(config.issuer, config.audience);

const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/app.js": ["app.js", "text/javascript; charset=utf-8"],
  "/session.js": ["session.js", "text/javascript; charset=utf-8"],
  "/style.css": ["style.css", "text/css; charset=utf-8"],
};

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src data:",
  `connect-src 'self' ${new URL(config.issuer).origin}`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const HEADERS = {
  "Content-Security-Policy": POLICY,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-cache",
};

const BILLS = [
  { what: "Electricity, October", cents: 6420 },
  { what: "Internet, November", cents: 3990 },
  { what: "Library, one book too late", cents: 150 },
];

function send(response, status, body, headers = {}) {
  response.writeHead(status, { ...HEADERS, ...headers }).end(body);
}

const sendJson = (response, status, value, headers) =>
  send(response, status, JSON.stringify(value), { "Content-Type": "application/json", ...headers });

/** The sample API. A real one asks its database for the bills of `claims.sub`. */
async function bills(request, response) {
  const token = /^Bearer ([^\s,]+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (!token) return sendJson(response, 401, { code: "no_token" }, { "WWW-Authenticate": "Bearer" });
  try {
    const claims = await verifier.check(token);
    if (!String(claims.scope ?? "").split(" ").includes("bills:read")) {
      const challenge = 'Bearer error="insufficient_scope", scope="bills:read"';
      return sendJson(response, 403, { code: "insufficient_scope" }, { "WWW-Authenticate": challenge });
    }
    return sendJson(response, 200, { bills: BILLS }, { "Cache-Control": "no-store" });
  } catch (error) {
    if (error instanceof InvalidToken) {
      return sendJson(response, 401, { code: "invalid_token" }, { "WWW-Authenticate": 'Bearer error="invalid_token"' });
    }
    if (error instanceof NoKeys) return sendJson(response, 503, { code: "temporarily_unavailable" }, { "Retry-After": "1" });
    throw error;
  }
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://page.invalid");
  if (request.method !== "GET") return send(response, 405, "", { Allow: "GET" });
  if (pathname === "/api/bills") return bills(request, response);
  if (pathname === "/config.json") {
    const { issuer, client_id, audience } = config;
    return sendJson(response, 200, { issuer, client_id, audience });
  }
  const [name, type] = FILES[pathname] ?? [];
  if (!name) return send(response, 404, "There is nothing here.\n", { "Content-Type": "text/plain" });
  return send(response, 200, await readFile(here(name)), { "Content-Type": type });
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    if (response.headersSent) response.destroy();
    else sendJson(response, 500, { code: "internal_error" });
  });
});
server.listen(config.port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
