// The chat page: it speaks the chat wire, and puts what anybody says in as text, never as HTML.

const KEY = "turnwise-key", UNSENT = "turnwise-unsent", AGENT = "turnwise-agent"; // in this tab
const FIRST_PAUSE = 250, LONGEST_PAUSE = 10_000; // ms between tries to reach the server
const REDRAWN = 30; // ms
const LATER = [502, 503, 504];
const ACCEPTED = ["DeadLettered", "TurnCancelled"]; // the message was taken, and its turn has ended

const $ = (id) => document.getElementById(id);
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const place = (id) => `?session=${encodeURIComponent(id)}`;
const asked = new URL(location.href).searchParams.get("session");
const session = asked ?? `chat-${random()}`;
const base = `chat/${encodeURIComponent(session)}`;
const others = new BroadcastChannel("turnwise");

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function button(text, act, className = "") {
  return make("button", { type: "button", textContent: text, className, onclick: act });
}

// --- Asking the server ---

class Refused extends Error {
  constructor({ status, headers }, problem) {
    super(problem.detail ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
    this.retryAfter = Number(headers.get("Retry-After")) * 1000;
  }
}

async function ask(path, { body, headers, signal } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const answer = await fetch(path, {
      method: body ? "POST" : "GET",
      cache: "no-store",
      signal,
      headers: {
        ...(body && { "Content-Type": "application/json" }),
        ...(key && { Authorization: `Bearer ${key}` }),
        ...headers,
      },
      body: body && JSON.stringify(body),
    });
    if (answer.status === 401) await logIn(key);
    else if (answer.ok) return answer;
    else throw new Refused(answer, await answer.json().catch(() => ({})));
  }
}

// Until the server answers: what is sent twice has one effect. Who asks too much waits; who sends
// too much is told.
async function insist(path, options = {}) {
  for (let wait = FIRST_PAUSE; ; wait = Math.min(wait * 2, LONGEST_PAUSE)) {
    try {
      const answer = await ask(path, options);
      tell();
      return answer;
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const tooMuch = error.status === 429 && !options.body;
      if (error instanceof Refused && !tooMuch && !LATER.includes(error.status)) throw error;
      tell(tooMuch ? error.message : "The server does not answer. Trying again …");
      await pause(Math.max(wait, error.retryAfter || 0));
    }
  }
}

let loggingIn = null; // all that is refused waits for one login

function logIn(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return; // another request asked meanwhile
  $("unknown").hidden = refused === null;
  loggingIn ??= new Promise((resolve) => {
    $("login").addEventListener("close", () => {
      sessionStorage.setItem(KEY, $("key").value.trim());
      $("login").querySelector("form").reset();
      loggingIn = null;
      resolve();
    }, { once: true });
    $("login").showModal();
  });
  return loggingIn;
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let rest = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const lines = frame.split("\n").map((line) => line.split(/: (.*)/s, 2));
        const { event, data, id } = Object.fromEntries(lines);
        if (data !== undefined) yield { event, id, data: JSON.parse(data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// --- Text ---

function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return JSON.stringify(content ?? "", null, 2);
  return content.map((part) => part.text ?? part.refusal ?? `[${part.type}]`).join("\n");
}

function inline(text) {
  return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part, n) => {
    if (n % 2 === 0) return part;
    return part[0] === "`" ? make("code", {}, part.slice(1, -1)) : make("strong", {}, part.slice(2, -2));
  });
}

function rendered(text) {
  return text.split(/^```/m).flatMap((part, n) => {
    if (n % 2) return [make("pre", {}, make("code", {}, part.replace(/^[^\n]*\n?/, "")))];
    const paragraphs = part.split(/\n\s*\n/).map((each) => each.trim()).filter(Boolean);
    return paragraphs.map((each) => make("p", {}, ...inline(each)));
  });
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return textOf(text);
  }
}

// --- A turn: what was asked, and what came of it ---

class Turn {
  constructor(id) {
    this.id = id;
    this.path = `${base}/turns/${encodeURIComponent(id)}`;
    this.text = "";
    this.after = ""; // the last event that was taken
    this.calls = new Map();
    this.said = make("div", { className: "said user", hidden: true });
    this.changes = make("p", { className: "actions changes" });
    this.answer = make("div", { className: "answer" });
    this.pending = make("div", { className: "approvals" });
    this.note = make("p", { className: "note", hidden: true });
    this.actions = make("p", { className: "actions" });
    this.element = make("article", { className: "turn" },
      this.said, this.changes, this.answer, this.pending, this.note, this.actions);
    this.become("queued");
  }

  get isOpen() { return ["queued", "running", "parked", "stopped"].includes(this.state); }

  become(state, note = "") {
    if (this.state === state && note === this.note.textContent) return;
    this.state = this.element.dataset.state = state;
    this.note.textContent = note;
    this.note.hidden = !note;
    const changes = [];
    if (state === "queued") changes.push(button("Remove", () => cancel(this)));
    if (!this.isOpen && this.text) changes.push(button("Edit", () => edit(this)));
    this.changes.replaceChildren(...changes);
    this.actions.replaceChildren(...(state === "committed" ? [button("Fork from here", () => fork(this))] : []));
    tell();
  }

  ask(message) {
    const items = typeof message === "string" ? [{ content: message }] : message;
    this.text = items.map((item) => textOf(item.content)).join("\n");
    this.said.replaceChildren(...rendered(this.text));
    this.said.hidden = false;
  }

  show(items) {
    this.ask(items.filter((item) => item.role === "user"));
    this.said.hidden = !this.text;
    for (const item of items) {
      if (item.role === "assistant") this.message({ text: textOf(item.content) });
      else if (item.role !== undefined) continue;
      else if (item.type === "reasoning") this.reasoning({ text: textOf(item.summary?.length ? item.summary : item.content ?? "") });
      else if (item.type?.endsWith("_output")) this.tool_output(item);
      else this.tool_call({ call_id: item.call_id ?? item.id, name: item.name ?? item.type, arguments: item.arguments ?? item.input });
    }
    this.become("committed");
  }

  // What follows are the events of the wire.

  take(event, data) {
    if (["delta", "message", "reasoning", "tool_call", "tool_output", "agent"].includes(event)) this.become("running");
    const wasAtEnd = isAtEnd();
    this[event]?.(data);
    if (wasAtEnd) toEnd();
  }

  delta({ text }) {
    this.building ??= this.add(make("div", { className: "said assistant" }));
    this.building.source = (this.building.source ?? "") + text;
    this.redrawing ??= setTimeout(() => this.redraw(), REDRAWN);
  }

  redraw() {
    const wasAtEnd = isAtEnd();
    clearTimeout(this.redrawing);
    this.redrawing = undefined;
    this.building?.replaceChildren(...rendered(this.building.source));
    if (wasAtEnd) toEnd();
  }

  message({ text }) {
    this.delta({ text: "" });
    this.building.source = text;
    this.redraw();
    this.building = undefined;
  }

  reasoning({ text }) {
    if (!text) return;
    const last = this.answer.lastElementChild;
    const thought = last?.matches(".thought") ? last
      : this.add(make("details", { className: "thought" }, make("summary", {}, "Thoughts"), make("pre")));
    thought.lastElementChild.append(text);
  }

  tool_call({ call_id, name, arguments: given }) {
    if (this.calls.get(call_id)?.isConnected) return;
    const summary = make("summary", {}, make("code", {}, name), make("span", { className: "muted" }, " requested"));
    this.calls.set(call_id, this.add(make("details", { className: "tool" }, summary, make("pre", {}, pretty(given)))));
  }

  tool_output({ call_id, output }) {
    const call = this.calls.get(call_id);
    if (!call) return;
    call.querySelector("summary span").textContent = " done";
    call.querySelector(".output")?.remove();
    call.append(make("pre", { className: "output" }, pretty(output)));
  }

  agent({ name }) {
    const last = this.answer.lastElementChild;
    if (last?.matches(".agent")) last.textContent = name;
    else this.add(make("p", { className: "agent muted" }, name));
  }

  add(element) {
    this.answer.append(element);
    return element;
  }

  reset() {
    this.building = this.kept = undefined;
    this.calls.clear();
    this.answer.replaceChildren();
    this.pending.replaceChildren();
    this.become("running");
  }

  parked({ approvals }) {
    this.kept = [...this.answer.childNodes];
    this.become("parked");
    this.pending.replaceChildren(...approvals.map((each) => this.question(each)));
    listSessions();
  }

  question({ id, tool_name, arguments: given, agent_name }) {
    const reason = make("input", { type: "text", maxLength: 1000 });
    const decide = (body) => this.decide({ [body]: body === "approve" ? [id] : { [id]: reason.value.trim() || null } });
    return make("section", { className: "approval", ariaLabel: `Approval of ${tool_name}` },
      make("p", {}, make("strong", {}, agent_name), " asks to call ", make("code", {}, tool_name)),
      make("pre", {}, pretty(given)),
      make("label", {}, "Reason, if you reject it ", reason),
      make("p", { className: "row" },
        button("Approve", () => decide("approve"), "go"), button("Reject", () => decide("reject"), "stop")));
  }

  async decide(body) {
    for (const each of this.pending.querySelectorAll("button")) each.disabled = true;
    let answer;
    try {
      answer = await insist(`${base}/approvals`, { body });
    } catch (error) {
      if (error.code !== "NoPendingApproval") complain(error); // somebody else has decided it
      answer = await insist(`${base}/approvals`);
    }
    const left = (await answer.json()).approvals.filter((each) => each.turn_id === this.id);
    this.pending.replaceChildren(...left.map((each) => this.question(each)));
    (this.pending.querySelector("button") ?? $("message")).focus();
  }

  resumed() {
    this.building = undefined;
    if (this.kept) this.answer.replaceChildren(...this.kept);
    this.pending.replaceChildren();
    this.become("running");
  }

  stopped() {
    this.become("stopped", "This failed. The conversation waits for an operator.");
  }

  done({ state, response, reason }) {
    this.redraw();
    this.pending.replaceChildren();
    if (state === "committed" && !this.answer.querySelector(".assistant") && response != null) this.message({ text: textOf(response) });
    const why = reason ? ` ${reason}` : "";
    const notes = { cancelled: `Stopped. This is not part of the conversation.${why}`, dead: "The agent failed; the log of its worker says why. This is not part of the conversation." };
    this.become(state, notes[state]);
  }
}

async function follow(turn, signal) {
  await turn.arrival; // the server knows nothing of it before
  for (; !signal.aborted; await pause(FIRST_PAUSE)) {
    try {
      const headers = turn.after ? { "Last-Event-ID": turn.after } : {};
      const answer = await insist(`${turn.path}/events`, { headers, signal });
      if (answer.status === 204) return turn.done(await (await insist(turn.path, { signal })).json());
      for await (const { event, data, id } of events(answer)) {
        turn.after = id ?? turn.after;
        turn.take(event, data);
        if (event === "done") return;
      }
    } catch (error) {
      if (error.code === "SessionGone") return turn.done({ state: "cancelled" });
      if (error instanceof Refused) throw error; // else the stream broke: go on with it
    }
  }
}

// --- The conversation ---

let turns = []; // as they are shown
let before = null; // names older ones
let sending = 0;
let isBehind = false; // what others did was not looked at, since something was being sent
let looks = 0; // only the last one counts, whichever is answered first
let editing = null;
let following = new AbortController();

const isAtEnd = () => $("conversation").scrollHeight - $("conversation").scrollTop - $("conversation").clientHeight < 40;
const toEnd = () => $("conversation").scrollTo(0, $("conversation").scrollHeight);
const open = () => turns.find((turn) => turn.isOpen);

function tell(trouble = "") {
  const texts = { queued: "Waiting …", running: "Answering …", parked: "Waiting for your decision", stopped: "Failed" };
  const said = trouble || (texts[open()?.state] ?? "");
  if ($("status").textContent !== said) $("status").textContent = said;
  $("stop").hidden = !open();
  $("empty").hidden = turns.length > 0;
}

function complain(error) {
  $("problem").textContent = error?.message ?? "";
  $("problem").hidden = !error;
}

function put(turn, at = turns.length) {
  turns.splice(at, 0, turn);
  $("turns").insertBefore(turn.element, $("turns").children[at] ?? null);
  return turn;
}

function drop(turn) {
  turn.element.remove();
  turns = turns.filter((each) => each !== turn);
  tell();
}

// One after the other, and only while somebody looks: a browser has few connections for one server.
async function followAll() {
  const { signal } = following;
  if (followAll.signal === signal) return;
  followAll.signal = signal;
  try {
    for (let turn; (turn = open()) && !signal.aborted; ) {
      await follow(turn, signal);
      await listSessions();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    if (followAll.signal === signal) followAll.signal = null;
  }
}

const read = async (query = "") => (await insist(`${base}/history?count=20${query}`)).json();
const shownOf = (page) => page.turns.filter((turn) => turn.items.length).reverse();
const idsIn = (page) => [...shownOf(page), ...page.waiting].map((turn) => turn.turn_id);

function draw(page) {
  following.abort();
  following = new AbortController();
  const there = idsIn(page);
  const ended = turns.filter((turn) => turn.isOpen && !there.includes(turn.id)); // how, it is told by its events
  turns = [];
  $("turns").replaceChildren();
  for (const { turn_id, items } of shownOf(page)) put(new Turn(turn_id)).show(items);
  ended.forEach((turn) => put(turn));
  for (const { turn_id, message } of page.waiting) put(new Turn(turn_id)).ask(message);
  before = page.before;
  $("older").hidden = before === null;
  tell();
  toEnd();
  followAll();
}

async function older() {
  const page = await read(`&before=${encodeURIComponent(before)}`);
  shownOf(page).forEach(({ turn_id, items }, at) => put(new Turn(turn_id), at).show(items));
  before = page.before;
  $("older").hidden = before === null;
}

// What other tabs and devices did.
async function catchUp() {
  isBehind = sending > 0;
  if (isBehind) return;
  const look = looks += 1;
  const page = await read().catch((error) => error.code === "SessionGone" ? null : Promise.reject(error));
  isBehind = sending > 0;
  if (!page || isBehind || look !== looks) return;
  const there = idsIn(page);
  const here = turns.filter((turn) => turn.isOpen || turn.state === "committed").map((turn) => turn.id);
  const same = there.join("\n") === here.slice(-there.length || here.length).join("\n");
  if (!same || (page.before === null && there.length !== here.length)) draw(page);
}

const unsent = () => JSON.parse(sessionStorage.getItem(UNSENT) ?? "[]");

// What a reload sends again, until the server has it.
function remember(turn_id, ...messages) {
  const kept = [...unsent().filter((each) => each.turn_id !== turn_id), ...messages];
  try {
    sessionStorage.setItem(UNSENT, JSON.stringify(kept));
  } catch {} // a message is too long to be kept
}

let arrival = Promise.resolve(); // of the message that was written last

async function send(text, turn_id, agent) {
  sending += 1;
  remember(turn_id, { session, text, turn_id, agent });
  history.replaceState(null, "", place(session));
  const turn = put(new Turn(turn_id));
  turn.ask(text);
  tell();
  toEnd();
  const earlier = arrival;
  let arrived;
  arrival = turn.arrival = new Promise((resolve) => arrived = resolve);
  try {
    await choosing; // whoever is quick has not seen the agents yet
    agent ??= $("agent").value;
    remember(turn_id, { session, text, turn_id, agent });
    await earlier; // the queue has messages in the order in which they came
    await insist("chat", { body: { session_id: session, message: text, turn_id, agent, timeout: 0 } });
  } catch (error) {
    if (!ACCEPTED.includes(error.code)) {
      drop(turn);
      $("message").value ||= text;
      return complain(error);
    }
  } finally {
    sending -= 1;
    remember(turn_id);
    arrived();
  }
  others.postMessage(session);
  if (isBehind) await catchUp();
  await Promise.all([followAll(), listSessions()]);
}

async function cancel(turn) {
  $("message").focus(); // the button goes away
  await turn.arrival;
  await insist(`${base}/cancel`, { body: { turn_id: turn.id } }).catch((error) => {
    if (error.code !== "SessionGone") throw error; // it has ended
  });
  if (turn.state === "queued" && turn !== open()) drop(turn);
  others.postMessage(session);
}

async function fork(turn) {
  const id = `chat-${random()}`;
  await insist(`${base}/copy`, { body: { session_id: id, at: turn.id } });
  location.assign(place(id));
}

function edit(turn) {
  editing = turn;
  $("editing").hidden = !turn;
  $("message").value = turn?.text ?? "";
  $("message").focus();
}

// Take the conversation back to before the turn that is edited.
async function takeBack(turn) {
  if (turn.state === "committed") {
    const last = () => turns.slice(0, turns.indexOf(turn)).findLast((each) => each.state === "committed");
    while (!last() && before !== null) await older();
    await insist(`${base}/rewind`, { body: { to: last()?.id ?? null } });
    turns.slice(turns.indexOf(turn)).forEach(drop);
  } else drop(turn);
}

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("message").value.trim();
  if (!text) return;
  complain(null);
  try {
    if (editing) await takeBack(editing);
  } catch (error) {
    return complain(error);
  }
  edit(null);
  await send(text, `turn-${random()}`);
});
$("message").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && editing) edit(null);
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("stop").addEventListener("click", () => cancel(open()));
$("leave").addEventListener("click", () => edit(null));
$("older").addEventListener("click", older);

// --- The list of conversations, and the start ---

const WHEN = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
const STATES = { queued: "waiting", running: "answering", retrying: "tries again", dead: "interrupted", parked: "waits for you", stopped: "failed" };
const listed = new Map();
let cursor = null; // names the next part
let listings = 0, shown = 0; // the last one counts, whichever is answered first

async function listSessions(more = false) {
  let next = more ? cursor : null;
  const listing = listings += 1;
  for (let parts = 0, found = 0; parts < 5 && found < 20; parts += 1) {
    const page = await (await insist(`chat/sessions?${next ? `cursor=${encodeURIComponent(next)}` : ""}`)).json();
    if (!more && listing < shown) return;
    if (!more) shown = listing;
    for (const each of page.sessions) listed.set(each.session_id, each);
    found += page.sessions.length;
    next = page.cursor;
    if (next === null) break;
  }
  if (more || listed.size <= 50) cursor = next;
  $("more").hidden = cursor === null;
  const newest = [...listed.values()].sort((one, other) => (other.updated_at ?? 0) - (one.updated_at ?? 0));
  $("sessions").replaceChildren(...newest.map(entry));
  const title = listed.get(session)?.title || (turns.length ? session : "New conversation");
  $("title").textContent = document.title = title;
}

function entry({ session_id, title, state, updated_at }) {
  const at = new Date((updated_at ?? 0) * 1000);
  const when = make("time", { dateTime: at.toISOString() }, at.toLocaleString(undefined, WHEN));
  const waits = state === "idle" ? [] : [" · ", make("span", { className: `state-${state}` }, STATES[state] ?? state)];
  const link = make("a", { href: place(session_id) }, make("span", { className: "name" }, title || session_id), make("small", {}, when, ...waits));
  if (session_id === session) link.ariaCurrent = "page";
  return make("li", {}, link);
}

$("more").addEventListener("click", () => listSessions(true));
$("menu").addEventListener("click", () => {
  const isOpen = document.body.classList.toggle("menu");
  $("menu").setAttribute("aria-expanded", isOpen);
});
$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.assign("./");
});
$("login").addEventListener("cancel", (event) => event.preventDefault());
$("agent").addEventListener("change", () => sessionStorage.setItem(AGENT, $("agent").value));
others.addEventListener("message", ({ data }) => Promise.all([data === session && catchUp(), listSessions()]));
document.addEventListener("visibilitychange", async () => {
  if (document.hidden) return following.abort();
  following = new AbortController();
  await catchUp();
  await followAll();
});
addEventListener("unhandledrejection", ({ reason }) => complain(reason));

async function showAgents() {
  const { agents } = await (await insist("chat/agents")).json();
  $("agent").replaceChildren(...agents.map((name) => make("option", {}, name)));
  const chosen = sessionStorage.getItem(AGENT);
  if (agents.includes(chosen)) $("agent").value = chosen;
  $("choice").hidden = agents.length < 2;
  $("forget").hidden = sessionStorage.getItem(KEY) === null;
}

async function start() {
  await choosing;
  if (asked !== null) await catchUp();
  tell();
  await Promise.all(unsent().filter((each) => each.session === session).map(({ text, turn_id, agent }) => {
    const known = turns.find((turn) => turn.id === turn_id);
    if (!known) return send(text, turn_id, agent);
    if (!known.arrival) remember(turn_id); // it had arrived, else it is on its way
  }));
  await listSessions();
}

const choosing = showAgents();
start();
