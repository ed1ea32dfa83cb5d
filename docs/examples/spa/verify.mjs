// Verifies access tokens of Signet by its published keys alone, with nothing but Node: ES256, RFC 9068.
//
// The algorithm is this file's to say and never the token's; keys are kept as long as the key set allows and fetched anew
// for a kid that is not among them, at most every 30 s; while the issuer is away, the keys at hand go on being used.

import { createPublicKey, verify } from "node:crypto";

const PATIENCE = 5_000;
const PAUSE = 30_000;
const SKEW = 10;
const REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"];

/** The token is no good: 401. */
export class InvalidToken extends Error {}
/** There is no key set to judge by: 503. */
export class NoKeys extends Error {}

export class Verifier {
  #issuer;
  #audience;
  #keys = new Map();
  #freshUntil = 0;
  #notBefore = 0;
  #fetching = null;

  constructor(issuer, audience) {
    this.#issuer = issuer;
    this.#audience = audience;
  }

  /** The claims of a good access token. */
  async check(token) {
    const parts = token.split(".");
    if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) refuse("not a token");
    const header = json(parts[0]);
    if (header.alg !== "ES256" || !["at+jwt", "application/at+jwt"].includes(String(header.typ).toLowerCase())) {
      refuse("not an access token signed with ES256");
    }
    if ("crit" in header) refuse("it has extensions that nobody knows here");
    const key = await this.#key(header.kid);
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
    const signature = Buffer.from(parts[2], "base64url");
    if (!verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature)) refuse("the signature is wrong");
    const claims = json(parts[1]);
    const now = Date.now() / 1000;
    if (REQUIRED.some((name) => claims[name] === undefined)) refuse("a claim is missing");
    if (claims.iss !== this.#issuer) refuse("another issuer");
    if (![claims.aud].flat().includes(this.#audience)) refuse("another audience");
    if (!(claims.exp > now - SKEW) || (claims.nbf ?? 0) > now + SKEW) refuse("expired, or not valid yet");
    if (claims.cnf) refuse("bound to a key, and nobody checks the proof here");
    return claims;
  }

  async #key(kid) {
    if (Date.now() > this.#freshUntil || !this.#keys.has(kid)) await this.#refresh();
    if (this.#keys.size === 0) throw new NoKeys();
    return this.#keys.get(kid) ?? refuse("nobody knows its key");
  }

  #refresh() {
    if (Date.now() < this.#notBefore) return undefined;
    this.#fetching ??= this.#fetch()
      .catch((error) => console.error(`the key set could not be fetched: ${error.message}`))
      .finally(() => {
        this.#fetching = null;
        this.#notBefore = Date.now() + (this.#keys.size === 0 ? 1_000 : PAUSE);
      });
    return this.#fetching;
  }

  async #fetch() {
    const answer = await fetch(`${this.#issuer}/.well-known/jwks.json`, { signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const { keys } = await answer.json();
    const ours = keys.filter(({ kty, crv, use, kid }) => kty === "EC" && crv === "P-256" && use === "sig" && kid);
    this.#keys = new Map(ours.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]));
    const seconds = /(?:^|[,\s])max-age=(\d+)/.exec(answer.headers.get("Cache-Control") ?? "")?.[1] ?? 300;
    this.#freshUntil = Date.now() + seconds * 1000;
  }
}

function refuse(why) {
  throw new InvalidToken(why);
}

function json(part) {
  try {
    return JSON.parse(Buffer.from(part, "base64url").toString());
  } catch {
    return refuse("not JSON");
  }
}
