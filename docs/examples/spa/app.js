// The page: which view there is, and what a person is told. The session is in session.js.

import { Refused, Session, SessionEnded, Unreachable, body } from "./session.js";

const find = (id) => document.getElementById(id);
const config = await (await fetch("config.json")).json();
const session = new Session(config, (why) => show("sign-in", { notice: ENDED[why] }));

const ENDED = {
  ended: "Your session has ended. Please sign in again.",
  elsewhere: "You signed out in another tab.",
  other: "Someone else signed in in another tab. Please sign in again to go on here.",
};

/** What went wrong, for a person. */
function words(error) {
  if (error instanceof Unreachable) {
    return navigator.onLine
      ? "The service can’t be reached at the moment. Please try again."
      : "You are offline. Connect to the internet and try again.";
  }
  if (!(error instanceof Refused)) return "Something went wrong. Please try again.";
  switch (error.code) {
    case "invalid_credentials":
      return "That username and password don’t go together. Check both, and try again.";
    case "too_many_attempts":
      return `Too many attempts have failed. Please wait ${span(error.retryAfter)} before you try again.`;
    case "temporarily_unavailable":
      return `The service is busy. Please try again in ${span(error.retryAfter)}.`;
    case "password_refused":
      return refusedPassword(error);
    case "invalid_scope":
    case "invalid_target":
      return "Your account may not use this application. Ask whoever runs it.";
    case "origin_not_allowed":
      return `This page is not registered with the sign-in service: add the origin ${location.origin}.`;
    default:
      return `That was not possible: ${error.message}.`;
  }
}

function refusedPassword({ reason, hints, why }) {
  const sentences = {
    too_short: "That password is too short: 15 characters or more, such as four or five words.",
    character: "That password has a character that can’t be part of one.",
    guessable: "That password is easy to guess.",
    personal: "That password has too much of your own names in it.",
  };
  return [sentences[reason] ?? `That password can’t be chosen: ${why ?? "take another"}.`, ...hints].join(" ");
}

function span(seconds = 5) {
  if (seconds < 90) return seconds === 1 ? "a second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

// --- Views -------------------------------------------------------------------------------------------------------

const VIEWS = ["loading", "sign-in", "new-password", "home"];

/** Tells password managers whose passwords the forms are about. */
function whose(username) {
  for (const field of document.querySelectorAll(".whose")) field.defaultValue = username;
}

/** Shows one view, and takes whoever reads by voice or keyboard there. */
function show(view, { notice = "" } = {}) {
  for (const id of VIEWS) find(id).hidden = id !== view;
  for (const form of document.forms) form.reset();
  for (const place of document.querySelectorAll(".message")) say(place, "");
  say(find("sign-in-notice"), view === "sign-in" ? notice : "");
  if (view !== "home") {
    for (const id of ["bills", "sessions", "person"]) find(id).replaceChildren();
  }
  const heading = find(view).querySelector("h1");
  heading.focus();
  document.title = view === "home" ? "Bills" : `${heading.textContent} · Bills`;
}

function say(place, text) {
  place.textContent = text;
  place.hidden = text === "";
}

/** Runs what a form or a button asks for: one at a time, and its failure is told where it belongs. */
async function attempt(control, place, act) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  say(place, "");
  try {
    await act();
  } catch (error) {
    // `onEnd` has told it already.
    if (!(error instanceof SessionEnded)) say(place, words(error));
  } finally {
    control.removeAttribute("aria-busy");
  }
}

/** What a form does when it is sent. Its fields are marked while they are wrong. */
function onSubmit(id, act) {
  const form = find(id);
  const place = form.querySelector("[role=alert]");
  const fields = [...form.querySelectorAll("input:not(.whose)")];
  form.addEventListener("input", ({ target }) => target.removeAttribute("aria-invalid"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const empty = fields.find((field) => field.value === "");
    if (empty) {
      say(place, `Please fill in “${empty.labels[0].textContent}”.`);
      empty.setAttribute("aria-invalid", "true");
      empty.focus();
      return;
    }
    attempt(form, place, async () => {
      try {
        await act(Object.fromEntries(new FormData(form)));
      } catch (error) {
        const wrong = { invalid_credentials: fields, password_refused: fields.slice(-1) }[error.code] ?? [];
        wrong.forEach((field) => field.setAttribute("aria-invalid", "true"));
        throw error;
      }
    });
  });
}

for (const button of document.querySelectorAll(".reveal")) {
  const field = find(button.getAttribute("aria-controls"));
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    button.textContent = shown ? "Hide" : "Show";
    field.focus();
  });
}

// --- Signing in --------------------------------------------------------------------------------------------------

let pending = null;

onSubmit("sign-in-form", async ({ username, password }) => {
  try {
    await session.signIn(username, password);
  } catch (error) {
    if (error.code !== "must_change_password") throw error;
    pending = { username, password };
    whose(username);
    show("new-password");
    return;
  }
  await home();
});

onSubmit("new-password-form", async ({ next }) => {
  const { username, password } = pending;
  await session.replacePassword(username, password, next);
  await session.signIn(username, next);
  pending = null;
  await home();
});

// --- At home -----------------------------------------------------------------------------------------------------

async function home() {
  show("home");
  await attempt(find("home"), find("home-message"), async () => {
    const { username } = await session.me();
    find("person").textContent = username;
    whose(username);
  });
  await Promise.all([loadBills(), loadSessions()]);
}

function item(...children) {
  const line = document.createElement("li");
  line.append(...children);
  return line;
}

function text(tag, className, content) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = content;
  return element;
}

function empty(list, sentence) {
  list.replaceChildren(item(text("span", "empty", sentence)));
}

const loadBills = () =>
  attempt(find("load-bills"), find("bills-message"), async () => {
    const { bills } = await body(await session.fetch("api/bills"));
    if (bills.length === 0) return empty(find("bills"), "There are no bills. Enjoy it while it lasts.");
    const money = new Intl.NumberFormat(undefined, { style: "currency", currency: "EUR" });
    find("bills").replaceChildren(
      ...bills.map(({ what, cents }) => item(text("span", "", what), text("span", "amount", money.format(cents / 100)))),
    );
  });

const loadSessions = () =>
  attempt(find("load-sessions"), find("sessions-message"), async () => {
    const sessions = await session.sessions();
    const others = sessions.filter(({ current }) => !current);
    find("sessions").replaceChildren(...sessions.map(sessionItem));
    if (others.length === 0) find("sessions").append(item(text("span", "empty", "You are signed in nowhere else.")));
    find("end-others").hidden = others.length === 0;
  });

function sessionItem({ session_id, current, device, address, last_used_at }) {
  const name = device ?? "An unknown device";
  const when = new Date(last_used_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const about = document.createElement("span");
  about.className = "about";
  about.append(text("strong", "", name), text("small", "", `${address ?? "Unknown address"} · last used ${when}`));
  if (current) return item(about, text("span", "badge", "This device"));
  const end = text("button", "quiet", "End");
  end.type = "button";
  end.setAttribute("aria-label", `End the session on ${name}`);
  end.addEventListener("click", () => change(end, () => session.end(session_id)));
  return item(about, end);
}

async function change(button, act) {
  await attempt(button, find("sessions-message"), async () => {
    await act();
    await loadSessions();
    find("sessions-title").focus();
  });
}

find("load-bills").addEventListener("click", loadBills);
find("load-sessions").addEventListener("click", loadSessions);
find("end-others").addEventListener("click", () => change(find("end-others"), () => session.end()));

for (const [id, everywhere] of [["sign-out", false], ["sign-out-everywhere", true]]) {
  find(id).addEventListener("click", () =>
    attempt(find(id), find("home-message"), async () => {
      await session.signOut(everywhere);
      show("sign-in", { notice: everywhere ? "You are signed out everywhere." : "You are signed out." });
    }),
  );
}

onSubmit("password-form", async ({ current, next }) => {
  await session.changePassword(current, next);
  find("password-form").reset();
  say(find("password-done"), "Your password is changed, and every other session has ended.");
  await loadSessions();
});
find("password-form").addEventListener("input", () => say(find("password-done"), ""));

// --- The beginning -----------------------------------------------------------------------------------------------

async function begin() {
  show("loading");
  try {
    if (await session.resume()) await home();
    else show("sign-in");
  } catch (error) {
    show("sign-in");
    say(find("sign-in-form").querySelector("[role=alert]"), words(error));
  }
}

await begin();
