// What moves on a page; without this file each page is whole, it only has to be loaded again.
"use strict";

const byId = (id) => document.getElementById(id);
let seen = document.body.dataset.seen;
let failures = 0;
let stream = null;

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// Put a region of a newly loaded page in the place of the old one, and keep the focus in it.
function swap(id, fresh) {
  const old = byId(id);
  const now = fresh.getElementById(id);
  if (!old || !now || old.outerHTML === now.outerHTML) return;
  const focus = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focus ? [...old.querySelectorAll(focus.tagName)].indexOf(focus) : -1;
  const made = document.importNode(now, true);
  for (const details of old.querySelectorAll("details[id]")) {
    const same = made.querySelector("#" + CSS.escape(details.id));
    if (same) same.open = details.open;
  }
  old.replaceWith(made);
  if (place >= 0) made.querySelectorAll(focus.tagName)[place]?.focus();
}

async function load(options) {
  const url = options?.url ?? location.pathname + location.search;
  const answer = await fetch(url, { cache: "no-store", ...options });
  if (!answer.ok) throw new Error(String(answer.status));
  return parse(await answer.text());
}

async function refresh() {
  const fresh = await load();
  for (const region of document.querySelectorAll("[data-live]")) swap(region.id, fresh);
  swap("now", fresh);
  document.title = fresh.title;
  offerCopies();
  return fresh;
}

function show(state) {
  byId("lost").hidden = true;
  const icon = `/console/static/icon-${state.tone}.svg`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

function lost() {
  byId("lost").hidden = false;
  byId("icon").setAttribute("href", "/console/static/icon-idle.svg");
  document.title = "? " + document.title.replace(/^[?✓✕…] /, "");
}

async function look() {
  try {
    const answer = await fetch("/console/state", { cache: "no-store" });
    if (answer.status === 403) location.reload();
    const state = await answer.json();
    if (failures >= 2) seen = "";
    failures = 0;
    show(state);
    if (state.seen !== seen) {
      await refresh();
      seen = state.seen;
    }
  } catch {
    failures += 1;
    if (failures === 2) lost();
  }
  setTimeout(look, document.hidden ? 3000 : 1000);
}

// The log of a build that runs: the server sends the HTML that the page adds.
function follow(log) {
  const nodes = (html) => document.importNode(parse(html).body, true).childNodes;
  const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 120;
  const handlers = {
    start: () => log.replaceChildren(),
    phase: ({ html }) => log.append(...nodes(html)),
    heading: ({ index, html }) => byId(`heading-${index}`)?.replaceWith(...nodes(html)),
    piece: ({ index, html }) => (byId(`phase-${index}`) ?? log).append(...nodes(html)),
    text: ({ name, html }) => {
      const place = byId(name);
      (place?.querySelector("pre") ?? place)?.append(...nodes(html));
    },
    done: ({ name, open, html }) => {
      byId(name).open = open;
      byId(name).querySelector("summary").replaceWith(...nodes(html));
    },
    end: async () => {
      stream.close();
      swap("log", await refresh());
      byId("failed")?.scrollIntoView({ block: "center" });
    },
  };
  stream = new EventSource(log.dataset.events);
  for (const [name, handler] of Object.entries(handlers)) {
    stream.addEventListener(name, (event) => {
      const follows = atEnd();
      handler(JSON.parse(event.data));
      if (follows && name !== "end") scrollTo(0, document.documentElement.scrollHeight);
    });
  }
}

async function call(event) {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    const body = new URLSearchParams(new FormData(event.target));
    swap("answer", await load({ url: "/console/call", method: "POST", body }));
  } catch {
    event.target.submit();
  }
  button.disabled = false;
}

// A button copies the text of an element here, or that of an address.
async function textFor(what) {
  if (!what.startsWith("/")) return byId(what).textContent;
  const answer = await fetch(what);
  if (Number(answer.headers.get("content-length")) > 4e6) throw new Error("Too long: download it");
  return answer.text();
}

async function copy({ target: button }) {
  try {
    await navigator.clipboard.writeText(await textFor(button.dataset.copy));
    button.textContent = "Copied";
  } catch (error) {
    button.textContent = error.message;
  }
}

function offerCopies() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = copy;
  }
}

byId("call")?.addEventListener("submit", call);
offerCopies();
if (byId("log")?.dataset.events) follow(byId("log"));
else if (!location.hash) byId("failed")?.scrollIntoView({ block: "center" });
addEventListener("pagehide", () => stream?.close());
setTimeout(look, 1000);
