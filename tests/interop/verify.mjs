// A service written in JavaScript: jose fetches the JWKS and verifies the token, and refuses what it must.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";

// Node 18, which Debian 12 ships, does not have it as a global yet.
globalThis.crypto ??= webcrypto;
const { createRemoteJWKSet, jwtVerify } = await import("jose");

const { SIGNET_ISSUER: issuer, SIGNET_AUDIENCE: audience, SIGNET_TOKEN: token } = process.env;
const jwks = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
const expected = {
  issuer,
  audience,
  typ: "at+jwt",
  requiredClaims: ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"],
};

const { payload, protectedHeader } = await jwtVerify(token, jwks, expected);
assert.ok(payload.exp > payload.iat);

const [head, body, signature] = token.split(".");
const forged = signature.slice(0, 9) + (signature[9] === "A" ? "B" : "A") + signature.slice(10);
const code = (code) => ({ code });
await assert.rejects(
  jwtVerify(`${head}.${body}.${forged}`, jwks, expected),
  code("ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
);
for (const wrong of [{ audience: `${audience}/other` }, { issuer: `${issuer}/other` }]) {
  await assert.rejects(
    jwtVerify(token, jwks, { ...expected, ...wrong }),
    code("ERR_JWT_CLAIM_VALIDATION_FAILED"),
  );
}
console.log(`jose: ${protectedHeader.alg} token of ${payload.client_id} verified, 3 forgeries refused`);
process.exit(0);
