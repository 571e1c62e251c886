// The page of the sandbox. Data of requests only becomes text nodes, so that nothing in it can be markup.

const ROW_HEIGHT = 76; // as in style.css
const MOST_FRAMES = 300; // rows of the time line at first; a button shows more
const FORMS = { curl: "curl", langchain: "LangChain", llama_index: "LlamaIndex" };

const $ = (id) => document.getElementById(id);
const rows = new Map(); // number -> row
const shown = new Map(); // number -> element of the list
const opened = new Map(["Conversation", "Answer", "Time line", "Changed by the gateway"].map((title) => [title, true]));
let oldest = 0; // the first number that the sandbox keeps
let order = []; // numbers of the rows that pass the filters, newest first
let found = null; // numbers that contain the searched text; null: no search
let selected = null;
let pinned = null; // number of the request that others are compared with
let current = null; // data of the selected request, and the parts of the page that grow

function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const button = (id, text, onclick, more = {}) => el("button", { id, type: "button", onclick, ...more }, text);
const note = (text) => el("span", { className: "note" }, String(text));
const kind = (name) => el("span", { className: "kind", "data-kind": name }, name);
const count = (number) => number.toLocaleString("en");

// Changes of data are drawn together, once in a frame of the screen.
const waiting = new Set();
function draw(task) {
  if (!waiting.size) {
    requestAnimationFrame(() => {
      const tasks = [...waiting];
      waiting.clear();
      for (const each of tasks) each();
    });
  }
  waiting.add(task);
}

function later(task, ms) {
  let timer = null;
  return () => { timer ??= setTimeout(() => { timer = null; task(); }, ms); };
}

function say(text) {
  $("notice").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { $("notice").textContent = ""; }, 8000);
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

// The list: only its visible rows are elements.

function filter() {
  const [api, state, model] = ["interface", "status", "model"].map((id) => $(id).value.trim().toLowerCase());
  const before = order.length;
  const passes = (row) => (!api || row.interface === api) && (!state || row.state === state)
    && (!found || found.has(row.number)) && (!model || `${row.requested} ${row.served}`.toLowerCase().includes(model));
  order = [...rows.values()].filter(passes).map((row) => row.number).sort((one, other) => other - one);
  const list = $("list");
  if (list.scrollTop > 0) list.scrollTop += (order.length - before) * ROW_HEIGHT; // the reader's place stays
  const all = `${count(rows.size)} request${rows.size === 1 ? "" : "s"}`;
  $("count").textContent = order.length === rows.size ? all : `${count(order.length)} of ${all}`;
  drawList();
}

function drawList() {
  const list = $("list");
  $("rows").style.height = `${order.length * ROW_HEIGHT}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - 4);
  const last = first + Math.ceil(list.clientHeight / ROW_HEIGHT) + 8;
  const visible = order.slice(first, last).filter((number) => rows.has(number)); // one may have left since
  for (const [number, node] of shown) {
    if (visible.includes(number)) continue;
    node.remove();
    shown.delete(number);
  }
  visible.forEach((number, place) => {
    const row = rows.get(number);
    let node = shown.get(number);
    if (node?.row !== row) {
      node?.remove();
      node = listRow(row);
      shown.set(number, node);
      $("rows").append(node);
    }
    node.style.top = `${(first + place) * ROW_HEIGHT}px`;
    node.setAttribute("aria-selected", number === selected);
    node.setAttribute("aria-setsize", order.length);
    node.setAttribute("aria-posinset", first + place + 1);
  });
  if (shown.has(selected)) list.setAttribute("aria-activedescendant", `row-${selected}`);
  else list.removeAttribute("aria-activedescendant");
}

function listRow(row) {
  const { model, served, status, preview, time, facts, spent } = row.label;
  const lines = [[el("strong", {}, model), served], preview, facts].map((left, place) =>
    el("div", { className: "line" }, el("div", {}, ...[left].flat()), el("div", {}, [status, time, spent][place])));
  const node = el("div", { id: `row-${row.number}`, className: `row ${row.state}`, role: "option" }, ...lines);
  node.addEventListener("click", () => select(row.number));
  node.row = row;
  return node;
}

function move(by) {
  const next = Math.min(order.length - 1, Math.max(0, order.indexOf(selected) + by));
  const [list, top] = [$("list"), next * ROW_HEIGHT];
  list.scrollTop = Math.max(Math.min(list.scrollTop, top), top + ROW_HEIGHT - list.clientHeight);
  if (order.length) select(order[next], false);
}

function select(number, open = true) {
  selected = number;
  history.replaceState(null, "", number === null ? "/" : `#${number}`);
  if (open) document.body.classList.toggle("reading", number !== null);
  draw(drawList);
  load();
}

function leave() {
  document.body.classList.remove("reading");
  $("list").focus();
}

// The details

let loading = false;
let again = false;
async function load() {
  again = true;
  if (loading) return;
  loading = true;
  while (again) {
    again = false;
    const number = selected;
    try {
      if (number === null) showNothing("Choose a request in the list.");
      else if (pinned !== null && pinned !== number) await showComparison(pinned, number);
      else await showRequest(number);
    } catch (error) {
      showNothing(error.message);
    }
  }
  loading = false;
}

function showNothing(text) {
  current = null;
  $("details").replaceChildren(el("p", { className: "empty" }, text));
}

async function showRequest(number) {
  const from = current?.number === number ? current.frames.length : 0;
  const data = await (await get(`/page/requests/${number}?from=${from}`)).json();
  if (selected !== number) return;
  if (data.start) {
    data.frames.unshift(...current.frames);
    Object.assign(current, data);
  } else {
    current = { ...data, number, drawn: 0, limit: MOST_FRAMES, parts: build(data) };
    $("details").scrollTop = 0;
  }
  draw(drawAnswer);
}

// Returns the parts of the page that grow with an answer. Buttons and blocks stay, so that they can be used meanwhile.
function build(data) {
  const { row, conversation: turns, changes, tools: offered, body, headers: sent, answer_headers: received } = data;
  const more = button("more", "", () => { current.limit += 2000; draw(drawAnswer); });
  const parts = {
    facts: el("div"), answer: el("div"), state: note(""), canvas: el("canvas", { id: "ticks", role: "img" }), more,
    legend: el("p", { className: "legend" }), lines: el("tbody"), frames: note(""), cut: note(""), raw: el("pre") };
  const copies = Object.entries(FORMS).map(([form, name]) =>
    button(`copy-${form}`, name, () => copy(row.number, form), { ariaLabel: `Copy as ${name}` }));
  const compare = button("compare", "Compare", () => pin(row.number), { ariaPressed: String(pinned === row.number) });
  const lines = (list) => list.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  $("details").replaceChildren(
    el("div", { className: "title" }, button("back", "Back", leave),
      el("h2", {}, `Request ${row.number}`), el("code", {}, data.address)),
    el("div", { className: "buttons" }, note("Copy as"), ...copies,
      button("save", "Save as cassette", () => save(row.number)), compare),
    parts.facts,
    block("Conversation", note(turns.length), conversation(turns)),
    block("Answer", parts.state, parts.answer),
    block("Time line", parts.frames, parts.canvas, parts.legend,
      table("Frames of the answer", ["ms", "Kind", "Text"], [], "frames", parts.lines), more, parts.cut),
    ...(changes ? [block("Changed by the gateway", note(changes.length), changed(changes))] : []),
    ...(offered.length ? [block("Tools", note(offered.length), tools(offered))] : []),
    block("Headers", note(sent.length + received.length),
      table("Headers of the request", ["Name", "Value"], lines(sent)),
      table("Headers of the answer", ["Name", "Value"], lines(received))),
    ...(body ? [block("Body", "", el("pre", {}, body))] : []),
    block("Raw answer", "", parts.raw));
  return parts;
}

function drawAnswer() {
  if (!current) return;
  const { parts, row, facts, answer, frames, drawn, limit } = current;
  const error = row.error && el("div", { className: "error", role: "group", ariaLabel: "Error" },
    el("strong", {}, [row.error.type, row.error.code].filter(Boolean).join(", ") || "Error"),
    el("p", {}, row.error.message), el("p", { className: "remedy" }, row.error.remedy));
  const pairs = facts.filter(([name]) => name !== "Error")
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  parts.facts.replaceChildren(...(error ? [error] : []), el("dl", {}, ...pairs));
  parts.state.textContent = row.state === "running" ? "so far" : "";
  parts.answer.replaceChildren(answer.length ? conversation(answer) : note("No text and no tool call."));
  const fresh = frames.slice(drawn, limit);
  parts.lines.append(...fresh.map((frame) => el("tr", {}, el("td", { className: "number" }, frame.at.toFixed(1)),
    el("td", {}, kind(frame.kind)), el("td", {}, frame.text))));
  current.drawn += fresh.length;
  parts.more.hidden = frames.length <= limit;
  parts.more.textContent = `Show more; ${count(frames.length - limit)} frames are not shown`;
  parts.frames.textContent = count(frames.length);
  parts.cut.textContent = current.unkept_bytes ? `The last ${count(current.unkept_bytes)} bytes were not kept.` : "";
  parts.legend.replaceChildren(...[...new Set(frames.map((frame) => frame.kind))].map(kind));
  parts.canvas.ariaLabel = `${frames.length} frames; the last came after ${frames.at(-1)?.at ?? 0} ms`;
  parts.raw.textContent = current.raw_answer || "It is shown when the answer has ended.";
  drawTicks();
}

function block(title, number, ...content) {
  const ontoggle = (event) => { opened.set(title, event.target.open); drawTicks(); };
  return el("details", { className: "block", open: opened.get(title) ?? false, ontoggle },
    el("summary", {}, el("h3", {}, title), " ", number), ...content);
}

function conversation(turns) {
  return el("div", { className: "turns" }, ...turns.map((turn) => el("article", { className: "turn" },
    el("h4", {}, turn.role), el("div", {}, ...turn.parts.map(part)))));
}

function part({ kind: name, text, name: title, url, id }) {
  if (name === "text") return el("p", { className: "text" }, text);
  if (name === "image") return el("img", { src: url, alt: text, loading: "lazy" });
  const heading = el("h5", {}, kind(name), el("code", {}, title ?? ""), note(id ?? ""));
  return el("div", { className: `part ${name}` }, heading, el(name === "reasoning" ? "p" : "pre", {}, text));
}

function table(caption, names, lines, className = "", body = el("tbody")) {
  body.append(...lines);
  const head = el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)));
  return el("table", { className }, el("caption", {}, caption), el("thead", {}, head), body);
}

function changed(list) {
  if (!list.length) return el("p", { className: "note" }, "The gateway sends the body on as it is.");
  return sides("Fields that the gateway changes", ["Sent by the caller", "Sent on by the gateway"], list);
}

// The two values of each row, in three pieces, of which the one in the middle differs.
function sides(caption, names, list) {
  const text = ([start, different, end]) => [start, el("mark", {}, different), end];
  const cell = (pieces) => el("td", {}, ...(pieces ? text(pieces) : [note("absent")]));
  return table(caption, ["Field", ...names], list.map(({ path, before, after, same }) =>
    el("tr", { className: same ? "same" : "differs" }, el("th", { scope: "row" }, path), cell(before), cell(after))));
}

function tools(list) {
  return el("div", { className: "tools" }, ...list.map((tool) => el("details", {},
    el("summary", {}, el("code", {}, tool.name), note(` ${tool.description}`)), el("pre", {}, tool.schema))));
}

function drawTicks() {
  const canvas = $("ticks");
  if (!canvas?.clientWidth || !current) return;
  const scale = devicePixelRatio;
  [canvas.width, canvas.height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  const pen = canvas.getContext("2d");
  const colour = (node) => [node.dataset.kind, getComputedStyle(node).getPropertyValue("--kind")];
  const colours = new Map([...document.querySelectorAll(".legend .kind")].map(colour));
  const last = current.frames.at(-1)?.at || 1;
  for (const frame of current.frames) {
    pen.fillStyle = colours.get(frame.kind);
    pen.fillRect((frame.at / last) * (canvas.width - 2 * scale), 0, 2 * scale, canvas.height);
  }
}

// Compare, copy, save

function pin(number) {
  pinned = pinned === number ? null : number;
  $("compare").ariaPressed = String(pinned === number);
  if (pinned === null) return;
  say(`Choose the request to compare with request ${number}.`);
  leave();
}

async function showComparison(one, other) {
  const list = await (await get(`/page/requests/${one}/compare?with=${other}`)).json();
  if (selected !== other || pinned !== one) return;
  current = null;
  say("");
  const stop = button("stop", "Stop comparing", () => { pinned = null; load(); });
  $("details").replaceChildren(
    el("div", { className: "title" }, button("back", "Back", leave),
      el("h2", {}, `Requests ${one} and ${other}`), stop),
    sides("Facts, and the places where they differ", [`Request ${one}`, `Request ${other}`], list));
}

async function copy(number, form) {
  try {
    const text = await (await get(`/page/requests/${number}/${form}`)).text();
    await navigator.clipboard.writeText(text);
    say(`Copied as ${FORMS[form]}.`);
  } catch (error) {
    say(`Not copied: ${error.message}`);
  }
}

async function save(number) {
  try {
    const file = await (await get(`/page/requests/${number}/cassette`)).blob();
    const link = el("a", { href: URL.createObjectURL(file), download: `request-${number}.yaml` });
    link.click();
    URL.revokeObjectURL(link.href);
    say("Saved as a cassette for vcrpy.");
  } catch (error) {
    say(`Not saved: ${error.message}`);
  }
}

// Search, keys and events

let searching = false;
async function search() {
  if (searching) return searchSoon();
  searching = true;
  const text = encodeURIComponent($("search").value.trim());
  try {
    found = text ? new Set(await (await get(`/page/search?text=${text}`)).json()) : null;
  } catch (error) { say(`Not searched: ${error.message}`); }
  searching = false;
  draw(filter);
}
const searchSoon = later(search, 200);

const models = new Set();
const offerModels = later(() => {
  for (const model of [...rows.values()].flatMap((row) => [row.requested, row.served])) {
    if (!model || models.has(model) || models.size > 500) continue;
    models.add(model);
    $("models").append(el("option", { value: model }));
  }
}, 500);

$("search").addEventListener("input", searchSoon);
for (const id of ["interface", "status", "model"]) $(id).addEventListener("input", () => draw(filter));
$("list").addEventListener("scroll", () => draw(drawList), { passive: true });
addEventListener("resize", () => { draw(drawList); draw(drawTicks); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(drawTicks));
$("clear").addEventListener("click", () => fetch("/page/clear", { method: "POST" }));

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };
$("list").addEventListener("keydown", (event) => {
  if (event.key in STEPS) {
    event.preventDefault();
    move(STEPS[event.key]);
  } else if (event.key === "Enter" && selected !== null) {
    document.body.classList.add("reading");
    $("details").focus();
  }
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
  if (event.key !== "/" || ["INPUT", "SELECT"].includes(document.activeElement?.tagName)) return;
  event.preventDefault();
  $("search").focus();
});

const connection = (text, name) => Object.assign($("connection"), { textContent: text, className: name });
const events = new EventSource("/page/events");
events.addEventListener("open", () => connection("Live", "live"));
events.addEventListener("error", () => connection("Not connected; trying again", ""));
events.addEventListener("reset", (event) => {
  $("source").textContent = JSON.parse(event.data).source;
  rows.clear();
  [oldest, found, pinned] = [0, null, null];
  if (selected !== null) select(null);
  draw(filter);
});
events.addEventListener("rows", (event) => {
  const { first, rows: news } = JSON.parse(event.data);
  for (const row of news) rows.set(row.number, row);
  if (first > oldest) for (const number of rows.keys()) if (number < first) rows.delete(number);
  oldest = first;
  const wanted = Number(location.hash.slice(1));
  if (selected === null && rows.has(wanted)) select(wanted);
  else if (news.some((row) => row.number === selected)) load();
  if ($("search").value.trim()) searchSoon();
  offerModels();
  draw(filter);
});
