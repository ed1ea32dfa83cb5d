"""A service written in Python: PyJWT fetches the JWKS and verifies the token, and refuses what it must."""

import os

import jwt

issuer, audience, token = (os.environ[f"SIGNET_{name}"] for name in ("ISSUER", "AUDIENCE", "TOKEN"))
jwks = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")
header = jwt.get_unverified_header(token)


def verify(token, issuer=issuer, audience=audience):
    return jwt.decode(
        token,
        jwks.get_signing_key_from_jwt(token),
        algorithms=[header["alg"]],
        issuer=issuer,
        audience=audience,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
    )


def refuses(error, **changed):
    try:
        verify(**{"token": token, **changed})
    except error:
        return
    raise SystemExit(f"PyJWT took what it must refuse: {sorted(changed)}")


claims = verify(token)
assert header["typ"] == "at+jwt", header
assert claims["exp"] > claims["iat"], claims

head, body, signature = token.split(".")
forged = signature[:9] + ("A" if signature[9] != "A" else "B") + signature[10:]
refuses(jwt.InvalidSignatureError, token=f"{head}.{body}.{forged}")
refuses(jwt.InvalidAudienceError, audience=f"{audience}/other")
refuses(jwt.InvalidIssuerError, issuer=f"{issuer}/other")
print(f"PyJWT {jwt.__version__}: {header['alg']} token of {claims['client_id']} verified, 3 forgeries refused")
