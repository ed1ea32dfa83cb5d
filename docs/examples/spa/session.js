// A person's session with Signet, for a page. This is the part to copy.
//
// The refresh token is in a cookie that no script can read; the access token is in this object's memory and nowhere else:
// it is gone with the page, and the cookie brings the next one. Tabs share the cookie, and each has an access token of its
// own. They take turns to refresh where the browser has locks, which saves the server work; it does no harm when they
// don't, since a refresh token has one successor whoever asks.

/** Signet, or a service, said no. `code` is stable, `retryAfter` is in seconds where waiting helps. */
export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? `status ${status}`);
    this.status = status;
    this.code = problem.code ?? problem.error ?? "unknown";
    this.reason = problem.reason;
    this.why = problem.why;
    this.hints = problem.hints ?? [];
    this.retryAfter = retryAfter;
  }
}

/** Nobody answered: no network, or the service is away. Nothing is known to have happened. */
export class Unreachable extends Error {}

/** The session is over: sign in again. */
export class SessionEnded extends Error {}

/** How long before its end an access token is replaced, milliseconds: more than a request takes. */
const EARLY = 15_000;
/** The longest that an answer may take, milliseconds. */
const PATIENCE = 20_000;
/**
 * The same for a refresh. The server gives a token that was just replaced its successor again for `sessions.grace` (10 s)
 * alone: an answer that is lost is to be asked for anew well within that.
 */
const REFRESH_PATIENCE = 4_000;

export class Session {
  #config;
  #token = null;
  #goodUntil = 0;
  #person = null;
  #refreshing = null;
  #tabs;

  /** `onEnd(why)` is called once a session is over: "ended", "elsewhere" (another tab signed out), or "other". */
  constructor(config, onEnd) {
    this.#config = config;
    this.onEnd = onEnd;
    this.#tabs = new BroadcastChannel(`signet ${config.issuer} ${config.client_id}`);
    this.#tabs.onmessage = ({ data }) => {
      if (data === "signed out" && this.#token) this.#end("elsewhere");
    };
  }

  /** Begins a session. */
  async signIn(username, password) {
    const { client_id, audience } = this.#config;
    this.#take(await this.#post("login", { username, password, client_id, audience, delivery: "cookie" }));
  }

  /** Goes on with the session of the cookie, if there is one. */
  async resume() {
    try {
      await this.refresh();
      return true;
    } catch (error) {
      if (error instanceof SessionEnded) return false;
      throw error;
    }
  }

  /** Gets another access token. Callers at the same time share one request. */
  refresh() {
    this.#refreshing ??= this.#inTurn(() => this.#refresh()).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh() {
    try {
      this.#take(await this.#post("refresh", { client_id: this.#config.client_id }, {}, REFRESH_PATIENCE));
    } catch (error) {
      if (error.status !== 401) throw error;
      this.#end("ended");
      throw new SessionEnded();
    }
  }

  #inTurn(act) {
    if (!navigator.locks) return act();
    return navigator.locks.request(`signet refresh ${this.#config.issuer} ${this.#config.client_id}`, act);
  }

  /** `fetch` with the access token. One that is refused is replaced, and the request made once more. */
  async fetch(address, options = {}) {
    if (!this.#token || Date.now() > this.#goodUntil) await this.refresh();
    const ask = () =>
      answered(address, { ...options, headers: { ...options.headers, Authorization: `Bearer ${this.#token}` } });
    const answer = await ask();
    if (answer.status !== 401) return answer;
    await this.refresh();
    return ask();
  }

  /** Who signed in: `username`, `sub`, `email`, `roles`. */
  async me() {
    return body(await this.fetch(this.#address("me")));
  }

  /** Where this person is signed in. */
  async sessions() {
    return (await body(await this.fetch(this.#address("sessions")))).items;
  }

  /** Signs out elsewhere: one session, or all but this one. */
  async end(id) {
    const path = id ? `sessions/${encodeURIComponent(id)}` : "sessions";
    await body(await this.fetch(this.#address(path), { method: "DELETE" }));
  }

  /** Signs out, here or everywhere. When this fails the session goes on: say so, and let the person try again. */
  async signOut(everywhere = false) {
    try {
      await this.#post("logout", { client_id: this.#config.client_id, everywhere });
    } catch (error) {
      // It had ended before: as was wanted.
      if (error.status !== 401) throw error;
    }
    this.#forget();
    this.#tabs.postMessage("signed out");
  }

  /** Sets another password. Every other session ends, and this one goes on as a new one. */
  async changePassword(current, next) {
    if (!this.#token || Date.now() > this.#goodUntil) await this.refresh();
    const passwords = { current_password: current, new_password: next };
    this.#take(await this.#post("password", passwords, { Authorization: `Bearer ${this.#token}` }));
  }

  /** For who must choose another password before anything else; `signIn` with it comes then. */
  async replacePassword(username, current, next) {
    await this.#post("password", { username, current_password: current, new_password: next });
  }

  #take(tokens) {
    const person = subject(tokens.access_token);
    // Somebody else signed in, in another tab: this page shows what is not theirs.
    if (this.#person && this.#person !== person) {
      this.#end("other");
      throw new SessionEnded();
    }
    this.#person = person;
    this.#token = tokens.access_token;
    this.#goodUntil = Date.now() + tokens.expires_in * 1000 - Math.min(EARLY, tokens.expires_in * 500);
  }

  #forget() {
    this.#token = this.#person = null;
    this.#goodUntil = 0;
  }

  #end(why) {
    const begun = this.#token !== null;
    this.#forget();
    if (begun) this.onEnd(why);
  }

  #address(path) {
    return `${this.#config.issuer}/auth/${path}`;
  }

  async #post(path, asked, headers = {}, patience = PATIENCE) {
    const answer = await answered(this.#address(path), {
      method: "POST",
      // Sends and takes the cookie. The header is one that no form of a foreign page can send.
      credentials: "include",
      headers: { "Content-Type": "application/json", "X-Signet-CSRF": "1", ...headers },
      body: JSON.stringify(asked),
      signal: AbortSignal.timeout(patience),
    });
    return body(answer);
  }
}

/** An answer, whatever it says. */
async function answered(address, options) {
  try {
    return await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...options });
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

/** What an answer has, if it is a good one. */
export async function body(answer) {
  if (answer.status === 204) return null;
  const read = await answer.json().catch(() => ({}));
  if (answer.ok) return read;
  const wait = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  throw new Refused(answer.status, read, Number.isFinite(wait) ? wait : undefined);
}

/** Whose token it is. Only to compare: it is the services that verify tokens. */
function subject(token) {
  const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(claims)).sub;
}
