"use strict";
// The page's eyes are one event stream, its hands four small requests. It keeps
// nothing of what is typed: a pressed key is in memory until its request has left.

const $ = (id) => document.getElementById(id);
const reduced = matchMedia("(prefers-reduced-motion: reduce)");

// make builds an element; text is always text.
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

// ---- words

let lang = "en";
const seen = {}; // newest value of each topic, to draw again in the other language

const t = (key) => WORDS[lang][key] ?? WORDS.en[key] ?? key;
const named = (kind, name) => { const key = kind + "_" + name; const word = t(key); return word === key ? name : word; };

function speak(chosen) {
  lang = WORDS[chosen] ? chosen : "en";
  try { localStorage.setItem("lang", lang); } catch { /* private windows have no storage */ }
  document.documentElement.lang = lang === "zh" ? "zh-Hans" : "en";
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of document.querySelectorAll("[data-t-label]")) e.setAttribute("aria-label", t(e.dataset.tLabel));
  for (const b of document.querySelectorAll("[data-lang]")) b.setAttribute("aria-pressed", String(b.dataset.lang === lang));
  online(live);
  drawWallet();
  drawSwitches();
  for (const [topic, value] of Object.entries(seen)) draw[topic](value);
  for (const m of $("messages").children) label(m);
}

// ---- hands

let noteTimer = 0;

function note(text) {
  $("note").textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { $("note").textContent = ""; }, 5000);
}

async function ask(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (answer.ok) return true;
    note((await answer.json()).error);
  } catch {
    note(t("offline"));
  }
  return false;
}

// Keys leave in the order in which they were pressed: one request at a time.
let pressed = [];
let pressing = false;
const batch = 32; // as the server takes

async function press(key) {
  pressed.push(key);
  if (pressing) return;
  pressing = true;
  while (pressed.length > 0) {
    const keys = pressed.splice(0, batch);
    if (!await ask("keys", { keys })) pressed = [];
  }
  pressing = false;
}

// put puts a card into the slot, and takes out first what is there.
async function put(name) {
  const before = seen.slot && seen.slot.card;
  $("terminal").focus({ preventScroll: true });
  if (before === name) return;
  if (before) {
    if (!await ask("card", { name: "" })) return;
    await new Promise((done) => setTimeout(done, 400));
  }
  await ask("card", { name });
}

const computerKeys = { Enter: "enter", Escape: "cancel", Backspace: "clear", Delete: "clear", f: "func", F: "func" };

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.altKey || e.metaKey || e.repeat || e.isComposing || $("reading").open) return;
  const key = /^[0-9]$/.test(e.key) ? e.key : computerKeys[e.key];
  if (!key || (e.key === "Enter" && e.target.closest("button, a, summary"))) return;
  e.preventDefault();
  press(key);
});

for (const b of document.querySelectorAll("[data-key]")) {
  b.addEventListener("mousedown", (e) => e.preventDefault()); // the focus stays where it is
  b.addEventListener("click", () => press(b.dataset.key));
}
for (const b of document.querySelectorAll("[data-lang]")) b.addEventListener("click", () => speak(b.dataset.lang));

$("inserted").addEventListener("click", () => { $("terminal").focus({ preventScroll: true }); ask("card", { name: "" }); });
$("tear").addEventListener("click", tear);
$("read").addEventListener("click", () => $("reading").showModal());

// ---- wallet and switches

let cards = [];
let switches = [];

const about = (card) => { const key = "about_" + card.name; return WORDS[lang][key] || card.about; };
const short = (masked) => masked.length > 10 ? masked.slice(0, 6) + "…" + masked.slice(-4) : masked;

function face(e, card, action) {
  e.className = "card tint" + cards.indexOf(card) % 10;
  e.replaceChildren(make("i", { class: "chip", "aria-hidden": "true" }), make("b", {}, card.name),
    make("span", { class: "about" }, about(card)), make("span", { class: "number" }, "··" + card.number.slice(-4)));
  e.title = about(card);
  e.setAttribute("aria-label", `${action}: ${card.name}, ${card.label}. ${about(card)}`);
}

function drawWallet() {
  $("wallet").replaceChildren(...cards.map((card) => {
    const b = make("button", { type: "button", "data-card": card.name });
    face(b, card, t("insert"));
    b.addEventListener("click", () => put(card.name));
    return make("li", {}, b);
  }));
  if (seen.slot) draw.slot(seen.slot);
}

function drawSwitches() {
  $("switches").replaceChildren(...switches.map((s) => {
    const set = make("fieldset", {}, make("legend", {}, named("switch", s.name)));
    for (const choice of s.choices) {
      const input = make("input", { type: "radio", name: "switch-" + s.name, value: choice });
      input.addEventListener("change", () => ask("switch", { name: s.name, choice }));
      set.append(make("label", {}, input, make("span", {}, named(s.name, choice))));
    }
    return set;
  }));
}

// ---- paper

// The paper is one canvas that is as long as a multiple of grain; the sheet around
// it shows as much as has come out, and grows frame by frame.
const grain = 1024;
const speed = 560; // dot lines a second: 70 mm
const paper = { sheet: -1, lines: 0, out: 0, first: 0, at: 0, moving: false };
let arriving = Promise.resolve(); // pieces are drawn in order

const bitmap = (base64) => createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" }));

async function addPaper(v) {
  const canvas = $("paper");
  if (v.sheet !== paper.sheet || v.from < paper.first || v.from > paper.first + paper.lines) {
    const fresh = paper.sheet === -1;
    Object.assign(paper, { sheet: v.sheet, lines: 0, out: 0, first: v.from });
    canvas.width = v.width;
    canvas.height = 1;
    if (fresh) paper.out = v.to - v.from; // it was there before us
  }
  if (v.png) {
    const dots = await bitmap(v.png);
    const top = v.from - paper.first;
    const pen = grow(canvas, top + dots.height);
    pen.drawImage(dots, 0, top);
    paper.lines = top + dots.height;
  }
  feed();
}

function grow(canvas, lines) {
  if (lines > canvas.height) {
    const old = document.createElement("canvas");
    old.width = canvas.width;
    old.height = canvas.height;
    old.getContext("2d").drawImage(canvas, 0, 0);
    canvas.height = Math.ceil(lines / grain) * grain;
    canvas.getContext("2d").drawImage(old, 0, 0);
  }
  return canvas.getContext("2d");
}

// feed lets the paper come out at the mechanism's speed.
function feed() {
  if (paper.moving) return;
  paper.moving = true;
  paper.at = performance.now();
  requestAnimationFrame(function frame(now) {
    const left = paper.lines - paper.out;
    const pace = Math.max(speed, left * 1.2); // a long queue comes faster
    paper.out = reduced.matches ? paper.lines : Math.min(paper.lines, paper.out + Math.max(0, now - paper.at) * pace / 1000);
    paper.at = now;
    showPaper();
    if (paper.out < paper.lines) requestAnimationFrame(frame);
    else paper.moving = false;
  });
}

function showPaper() {
  const canvas = $("paper");
  const scale = canvas.clientWidth / canvas.width || 0.62;
  $("sheet").style.setProperty("--out", paper.out * scale + "px");
  $("sheet").hidden = paper.out < 1;
  $("tear").disabled = paper.lines < 1;
  $("read").disabled = paper.lines < 1;
  $("save").hidden = paper.lines < 1;
}

async function tear() {
  const sheet = $("sheet");
  if (!sheet.hidden && !reduced.matches) {
    const falling = sheet.animate([{ transform: "none", opacity: 1 }, { transform: "translateY(-70px) rotate(-3deg)", opacity: 0 }], { duration: 320, easing: "ease-in" });
    await falling.finished;
  }
  await ask("tear", {});
}

addEventListener("resize", showPaper);

// ---- what is seen

const clock = (at) => String(at).slice(11, 19);
const digits = { "392": 0 };
const signs = { "156": "¥", "840": "$", "978": "€", "344": "HK$", "392": "¥" };
const money = (minor, currency) => { const d = digits[currency] ?? 2; return (signs[currency] || "") + (minor / 10 ** d).toFixed(d); };

let frame = 0;

const draw = {
  async screen(v) {
    const mine = ++frame;
    const s = [v.title, v.amount, ...(v.lines || []), ...(v.choices || []).map((c) => c.Key + " " + c.Text), v.dots > 0 ? "●".repeat(v.dots) : "", v.hint];
    const words = s.filter(Boolean).join(". ");
    if ($("words").textContent !== words) {
      $("words").textContent = words;
      $("words").lang = v.lang;
    }
    const dots = await bitmap(v.png);
    if (mine !== frame) return; // a newer one has come meanwhile
    const canvas = $("screen");
    canvas.dataset.name = v.name;
    canvas.getContext("2d").drawImage(dots, 0, 0);
  },

  slot(v) {
    const card = cards.find((c) => c.name === v.card);
    $("inserted").hidden = !card;
    $("slot-empty").hidden = Boolean(card);
    if (card) {
      face($("inserted"), card, t("pull"));
      $("inserted").append(make("span", { class: "pull" }, t("pull") + " ↓"));
    }
    for (const b of document.querySelectorAll("[data-card]")) {
      const inside = b.dataset.card === v.card;
      b.setAttribute("aria-current", String(inside));
      b.querySelector(".about").textContent = inside ? t("chip_in") : b.title;
    }
    for (const [name, choice] of Object.entries(v.switches)) {
      for (const input of document.getElementsByName("switch-" + name)) input.checked = input.value === choice;
    }
    $("lamp-paper").className = v.switches.paper === "out" ? "bad" : "good";
  },

  status(v) {
    $("lamp-fleet").className = v.fleet_online ? "good" : "";
    $("lamp-host").className = v.signed_in ? "good" : "";
    const selling = v.state === "ACTIVE" || v.state === "TESTING";
    $("life").textContent = named("life", v.state.toLowerCase());
    $("life").className = "state " + (selling ? "good" : "wait");
    const steps = [["key", true], ["active", selling], ["config", v.config_revision > 0], ["sign", v.signed_in], ["ready", v.ready]];
    $("journey").replaceChildren(...steps.map(([name, done]) => make("li", { class: done ? "done" : "" }, t("step_" + name))));
    $("tally").textContent = t("sales")(v.totals.sale_count, money(v.totals.sale_amount, v.totals.currency || "156"));
    const facts = [["serial", v.serial], ["terminal", v.terminal_id || "–"], ["merchant", v.merchant || "–"], ["batch", v.batch],
      ["config", v.config_revision ? t("revision") + " " + v.config_revision : "–"], ["fleet", v.fleet_online ? t("yes") : t("no")],
      ["unreported", v.unreported], ["reversals", v.open_reversals]];
    const alarm = { reversals: v.open_reversals > 0 };
    $("facts").replaceChildren(...facts.map(([name, value]) =>
      make("div", alarm[name] ? { class: "alarm" } : {}, make("dt", {}, t("fact_" + name)), make("dd", {}, String(value)))));
  },

  journal: (v) => rows("journal", v),
  ledger: (v) => rows("ledger", v),
  fleet: (v) => rows("fleet", v),

  text(v) {
    $("text").textContent = v.trim() ? v : t("no_paper");
    $("text").lang = "zh-Hans";
  },
};

const good = new Set(["approved", "applied"]);
const open = new Set(["pending", "reversing"]);

function rows(id, lines) {
  const table = $(id);
  const before = new Set([...table.querySelectorAll("tbody tr")].map((r) => r.dataset.row));
  const head = make("tr", {}, ...["time", "stan", "amount", "card", "state", "note"].map((c) => make("th", { scope: "col" }, t(c))));
  const body = make("tbody", {}, ...(lines || []).map((l) => {
    const tone = good.has(l.state) ? "good" : open.has(l.state) ? "wait" : "bad";
    const key = l.stan + l.state;
    const amount = make("td", { class: "money" }, (l.type && l.type !== "sale" ? named("type", l.type) + " " : "") + l.amount);
    return make("tr", { "data-row": key, "data-stan": l.stan, class: seen[id] && table.tBodies.length && !before.has(key) ? "fresh" : "" },
      make("td", {}, clock(l.at)), make("td", { class: "mono" }, l.stan), amount, make("td", { class: "mono", title: l.card }, short(l.card)),
      make("td", {}, make("span", { class: "state " + tone }, named("state", l.state))), make("td", { class: "mono" }, l.note));
  }));
  if (!(lines || []).length) body.append(make("tr", { class: "none" }, make("td", { colspan: "6" }, t("nothing"))));
  table.replaceChildren(make("thead", {}, head), body);
}

// The same transaction in journal, ledger and fleet lights up together.
document.addEventListener("pointerover", (e) => {
  const stan = e.target.closest?.("tr[data-stan]")?.dataset.stan;
  for (const r of document.querySelectorAll("tr[data-stan]")) r.classList.toggle("same", Boolean(stan) && r.dataset.stan === stan);
});

const kept = 40; // messages, as the server keeps

function addMessage(v) {
  const mti = (v.title.match(/\b(0[1-9]\d\d)\b/) || [])[1] || "";
  const m = make("details", { "data-mti": mti, "data-way": v.direction, class: v.direction },
    make("summary", {}, make("span", { class: "way" }), make("b", { class: "mono" }, mti), make("span", { class: "what" }),
      make("span", { class: "size" }, v.title.replace(/^.*?\d{4},?\s*/, "")), make("time", {}, clock(v.at))),
    make("pre", { tabindex: "0" }, v.text));
  label(m);
  $("messages").prepend(m);
  while ($("messages").children.length > kept) $("messages").lastChild.remove();
}

function label(m) {
  m.querySelector(".way").textContent = m.dataset.way === "out" ? "→" : "←";
  m.querySelector(".way").setAttribute("aria-label", t(m.dataset.way));
  m.querySelector(".what").textContent = named("mti", m.dataset.mti);
}

// ---- the stream

let live = "offline";
let source = null;
let again = 0;

function online(state) {
  live = state;
  $("link").textContent = t(state);
  $("link").className = state;
}

function connect() {
  clearTimeout(again);
  source?.close();
  source = new EventSource("events");
  source.addEventListener("hello", (e) => {
    ({ cards, switches } = JSON.parse(e.data));
    $("messages").replaceChildren();
    arriving = arriving.then(() => { paper.sheet = -1; });
    drawWallet();
    drawSwitches();
    online("online");
  });
  for (const topic of Object.keys(draw)) {
    source.addEventListener(topic, (e) => {
      const value = JSON.parse(e.data);
      draw[topic](value);
      seen[topic] = value;
    });
  }
  source.addEventListener("paper", (e) => { const v = JSON.parse(e.data); arriving = arriving.then(() => addPaper(v)).catch((err) => reportError(err)); });
  source.addEventListener("message", (e) => addMessage(JSON.parse(e.data)));
  source.onerror = () => {
    online(source.readyState === EventSource.CLOSED ? "closed" : "offline");
    if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, 5000);
  };
}

// A page that nobody sees needs no stream: browsers allow few of them.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { clearTimeout(again); source?.close(); } else connect();
});

if (location.search) history.replaceState(null, "", location.pathname); // the token is in the cookie now
let chosen = navigator.language.slice(0, 2);
try { chosen = localStorage.getItem("lang") || chosen; } catch { /* as above */ }
speak(chosen);
showPaper();
connect();
