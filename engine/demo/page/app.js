"use strict";
// The live page: one event a second from the demo itself, drawn as it comes. Texts are set as text, never as HTML.

const whole = new Intl.NumberFormat("en");
const byId = (id) => document.getElementById(id);

function make(name, text, attributes = {}) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  return Object.assign(node, attributes);
}

function numbers(gauges) {
  const waits = gauges.p50_ms === null ? "…" : `${whole.format(gauges.p50_ms)} / ${whole.format(gauges.p99_ms)} ms`;
  return [
    ["pings/s", whole.format(Math.round(gauges.pings_s))], ["inside now", whole.format(gauges.inside)],
    ["triggers", whole.format(sum(gauges.triggers))], ["coupons", whole.format(gauges.coupons)],
    ["sent", whole.format(gauges.sent)], ["shown", whole.format(gauges.shown)],
    ["redemptions", whole.format(gauges.redemptions)], ["ping to push, p50 / p99", waits],
  ];
}

const sum = (counts) => Object.values(counts).reduce((all, n) => all + n, 0);

function showNumbers(gauges) {
  byId("numbers").replaceChildren(...numbers(gauges).map(([name, value]) => {
    const item = make("li");
    item.append(make("b", value), make("span", name));
    return item;
  }));
}

function showReasons(gauges) {
  const made = Object.entries(gauges.decisions).map(([name, n]) => [`offer on ${name}`, n, "offer"]);
  const silent = Object.entries(gauges.reasons).sort((a, b) => b[1] - a[1]).map(([name, n]) => [name.replaceAll("_", " "), n, ""]);
  const rows = [...made, ...silent], most = Math.max(1, ...rows.map((row) => row[1]));
  fill("reasons", rows.map(([name, n, kind]) => {
    const row = make("tr", undefined, { className: kind }), bar = make("td", undefined, { className: "bar" }), ink = make("i");
    ink.style.width = `${Math.max(2, 100 * n / most)}%`;
    bar.append(ink);
    row.append(make("td", name), bar, make("td", whole.format(n)));
    return row;
  }));
}

function showTried(tried) {
  fill("tried", Object.entries(tried).map(([name, value]) => {
    const row = make("tr");
    row.append(make("td", name), make("td", value));
    return row;
  }));
}

const fill = (id, rows) => byId(id).tBodies[0].replaceChildren(...rows);

function showMessages(messages) {
  byId("none").hidden = messages.length > 0;
  const shown = [...byId("messages").children].map((item) => item.id);
  if (messages.length === shown.length && messages.every((message, n) => message.decision === shown[n])) return;
  byId("messages").replaceChildren(...messages.map((message) => {
    const item = make("li", undefined, { id: message.decision });
    const when = new Date(message.at).toLocaleTimeString("en-GB", { timeZone: "Europe/Helsinki" });
    item.append(make("time", when), make("strong", message.title), make("p", message.body));
    if (message.code) item.append(make("code", message.code));
    return item;
  }));
}

async function open() {
  const town = await (await fetch("/map.json")).json();
  byId("notices").replaceChildren(...town.notices.map((notice) => make("p", notice)));
  byId("link").textContent = town.lines.join(" ");
  const map = new TownMap(byId("map"), town);
  const events = new EventSource("/events");
  events.onmessage = (event) => {
    const state = JSON.parse(event.data);
    byId("time").textContent = `Helsinki, ${state.time}`;
    showNumbers(state.gauges);
    showReasons(state.gauges);
    showTried(state.tried);
    showMessages(state.messages);
    map.tell(state);
  };
  events.onerror = () => { byId("time").textContent = "the demo has ended or is restarting"; };
}

open();
